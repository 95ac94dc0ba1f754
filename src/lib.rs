//! callvault keeps an organisation's Microsoft Teams call records for years, though Microsoft Graph keeps them for 30 days.

pub mod httpd;
pub mod model;
pub mod simulate;
