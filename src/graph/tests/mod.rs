//! The client against a server that answers by script, over real HTTP on loopback.

mod signing_in;
mod stand_in;
mod trouble;
mod whole;
