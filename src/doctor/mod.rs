//! Examines a set-up: whether Graph can be asked, and how the archive stands. Says of each trouble what it is and how to mend it.
//!
//! Nothing is made or changed, neither in the archive nor at Graph; no secret and no token is in any finding. The parts do not need
//! each other: without network the archive is examined, and without an archive the network.

pub mod check;

mod holding;
mod mend;
mod service;

pub use self::{
    check::{Check, Risk, State, worst},
    holding::{Holding, archive_checks},
    service::{Asked, Service, clock_words, graph_checks, graph_skipped},
};
