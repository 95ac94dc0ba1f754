//! Users over real HTTP.
