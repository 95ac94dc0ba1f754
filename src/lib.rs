//! callvault keeps an organisation's Microsoft Teams call records for years, though Microsoft Graph keeps them for 30 days.
//!
//! The rooms, floor by floor; each uses those below it only (docs/architecture.md):
//!
//! - doors: [`cli`]
//! - verbs: [`sync`], [`seal`], [`reindex`], [`export`], [`verify`], [`status`], [`doctor`]
//! - joins: [`query`], [`follow`], [`tables`], [`package`]
//! - keepers: [`archive`] (SQL, zstd), [`search`] (tantivy), [`graph`] (HTTP out), [`httpd`] (HTTP in)
//! - ground: [`model`], [`proof`]
//! - beside: [`simulate`], a stand-in for Graph that shares nothing with the client

pub mod archive;
pub mod cli;
pub mod doctor;
pub mod export;
pub mod follow;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod graph;
pub mod httpd;
pub mod model;
pub mod package;
pub mod proof;
pub mod query;
pub mod reindex;
pub mod retain;
pub mod seal;
pub mod search;
pub mod simulate;
pub mod status;
pub mod sync;
pub mod tables;
pub mod verify;
pub mod web;
