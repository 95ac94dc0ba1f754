//! What a receiver of notifications takes, and how soon a call is in the archive.
//!
//! `cargo bench --bench listen -- flood`: notifications as fast as they are answered, from eight connections, to a receiver that does nothing
//! else; then every id sent has to be in its inbox. `-- day`: a simulated day of a large tenant whose notifications are dropped, doubled and
//! forged, while the receiver is killed again and again; then the archive has to hold all that the tenant had. Without either, both.
//! Environment:
//! - `CALLVAULT_NOTIFICATIONS`: notifications of the flood (default 60,000), `CALLVAULT_BATCH`: of one request (default 1)
//! - `CALLVAULT_CALLS`: calls of the day (default 20,000), `CALLVAULT_RATE`: how much faster than the clock it passes (default 96)

use std::{env, str::FromStr};

mod day;
mod flood;
mod setting;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let asked: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_asked = |name: &str| asked.is_empty() || asked.iter().any(|word| word == name);
    if is_asked("flood") {
        flood::run(number("CALLVAULT_NOTIFICATIONS", 60_000)?, number("CALLVAULT_BATCH", 1)?)?;
    }
    if is_asked("day") {
        day::run(number("CALLVAULT_CALLS", 20_000)?, number("CALLVAULT_RATE", 96)?)?;
    }
    Ok(())
}

fn number<T: FromStr>(name: &str, default: T) -> std::result::Result<T, T::Err> {
    env::var(name).map_or(Ok(default), |text| text.parse())
}
