//! callvault keeps an organisation's Microsoft Teams call records for years, though Microsoft Graph keeps them for 30 days.

pub mod archive;
pub mod cli {
    pub mod render;
}
pub mod export;
pub mod follow;
pub mod graph;
pub mod model;
pub mod query;
pub mod search;
pub mod sync;
pub mod tables;
pub mod verify;
