//! What an examination finds, one line a thing.

use serde::Serialize;

/// How a thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// Worth knowing; the program works all the same.
    Warn,
    Fail,
    /// Could not be looked at, because of what failed before it, or does not apply.
    Skipped,
}

/// What a failure puts at risk, from the least serious to the most: of several, the last decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// Somebody else writes; it passes by itself.
    InUse,
    /// Something is missing or at risk, or the network does not let us through.
    Incomplete,
    /// A setting, or this machine, is wrong.
    Settings,
    /// Credentials, consent or permission.
    Unauthorised,
    /// What is stored is not what was archived.
    Integrity,
    /// Gone for good.
    Lost,
}

/// A line of the examination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at; never changes from version to version.
    pub check: String,
    pub state: State,
    pub finding: String,
    /// What to type or click.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
    /// Of a failure.
    #[serde(skip)]
    pub risk: Option<Risk>,
}

impl Check {
    pub fn ok(check: impl Into<String>, finding: impl Into<String>) -> Self {
        Self { check: check.into(), state: State::Ok, finding: finding.into(), mend: None, risk: None }
    }

    pub fn warn(check: impl Into<String>, finding: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { state: State::Warn, mend: Some(mend.into()), ..Self::ok(check, finding) }
    }

    pub fn fail(check: impl Into<String>, finding: impl Into<String>, mend: impl Into<String>, risk: Risk) -> Self {
        Self { state: State::Fail, mend: Some(mend.into()), risk: Some(risk), ..Self::ok(check, finding) }
    }

    pub fn skipped(check: impl Into<String>, why: impl Into<String>) -> Self {
        Self { state: State::Skipped, ..Self::ok(check, why) }
    }
}

/// The most serious of all that failed.
#[must_use]
pub fn worst(checks: &[Check]) -> Option<Risk> {
    checks.iter().filter_map(|check| check.risk).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_serious_failure_decides_and_warnings_do_not() {
        let fail = |risk| Check::fail("x", "", "", risk);
        assert_eq!(worst(&[Check::ok("a", ""), Check::warn("b", "", "")]), None);
        assert_eq!(
            worst(&[fail(Risk::Incomplete), fail(Risk::Unauthorised), fail(Risk::InUse)]),
            Some(Risk::Unauthorised)
        );
        assert_eq!(worst(&[fail(Risk::Lost), fail(Risk::Integrity)]), Some(Risk::Lost));
    }
}
