//! The product as its users meet it: the real binary against the simulator, over HTTP on loopback, on a real disk.
//!
//! Each test is a sentence about the product. Whether anything got lost is judged by one question throughout: does the
//! archive hold exactly what the simulated world says?

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on has failed; its files are its own"
)]

mod alerts;
mod checkpoint;
mod contract;
mod coverage;
mod crash;
mod csdl;
mod damage;
mod disks;
mod doctor;
mod encrypted;
mod faults;
mod fixtures;
mod former;
mod groups;
mod holds;
mod house;
mod init;
mod journal;
mod keys;
mod letters;
mod links;
mod listen;
mod listening;
mod logs;
mod moved;
mod mutations;
mod names;
mod nginx;
mod older;
mod package;
mod pages;
mod paging;
mod people;
mod query;
mod resume;
mod retention;
mod seal;
mod signing_in;
mod sql;
mod subscription;
mod support;
mod tables;
mod time;
mod tls;
mod versions;
mod watch;
