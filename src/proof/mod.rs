//! What makes a ledger provable to somebody who trusts nobody: a Merkle tree over its entries (RFC 6962, section 2.1), and the signed notes
//! that say how far it went and what its root was.
//!
//! Nothing here knows of call records or of files.

pub mod checkpoint;
pub mod note;
pub mod timestamp;
pub mod tree;

/// A node of the tree: SHA-256.
pub type Hash = [u8; 32];
