//! What a refusal to give a token means and what to do about it, by the numbers under which Microsoft documents the reasons.
//!
//! Source: "Microsoft Entra authentication and authorization error codes" (2026-08).

use serde::Deserialize;

use crate::graph::error::excerpt;

/// The words of whoever refused: the login host, or a managed identity's endpoint.
#[derive(Default, Deserialize)]
pub(super) struct Refused {
    /// Empty in the answers of App Service.
    #[serde(default)]
    pub(super) error: String,
    #[serde(default, alias = "message")]
    error_description: String,
    #[serde(default)]
    pub(super) error_codes: Vec<u32>,
    #[serde(default)]
    trace_id: String,
}

/// What the person who set the app up should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) meaning: &'static str,
    pub(super) hint: &'static str,
}

impl Refused {
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut said: Self = serde_json::from_slice(body).ok()?;
        if said.error_codes.is_empty() {
            let number = said.error_description.strip_prefix("AADSTS").and_then(|rest| rest.split(':').next());
            said.error_codes.extend(number.and_then(|number| number.parse::<u32>().ok()));
        }
        let says_something = !said.error.is_empty() || !said.error_description.is_empty();
        says_something.then_some(said)
    }

    /// The first line: the rest repeats the trace id, the time and the address.
    pub(super) fn told(&self) -> String {
        let line = excerpt(self.error_description.lines().next().unwrap_or_default());
        if self.trace_id.is_empty() { line } else { format!("{line} (trace id {})", excerpt(&self.trace_id)) }
    }

    /// Whether it is meant for the moment only, whatever its status.
    pub(super) fn passes(&self) -> bool {
        self.error == "temporarily_unavailable" || self.error_codes.iter().any(|code| [90_033, 50_196].contains(code))
    }

    /// By number first: `error` alone is coarse, and the text may change.
    pub(super) fn reason(&self) -> Reason {
        let known = |code: &u32| REASONS.iter().find(|(codes, _)| codes.contains(code)).map(|(_, reason)| *reason);
        let by_error = || match self.error.as_str() {
            "invalid_client" => reason("the app's credentials are not accepted", CHECK_ALL),
            "unauthorized_client" => reason("the app may not sign in to this tenant", CHECK_ALL),
            "invalid_scope" | "invalid_resource" => WRONG_CLOUD,
            _ => reason("the login host gives no token", CHECK_ALL),
        };
        self.error_codes.iter().find_map(known).unwrap_or_else(by_error)
    }
}

const fn reason(meaning: &'static str, hint: &'static str) -> Reason {
    Reason { meaning, hint }
}

const CHECK_ALL: &str = "check the tenant id, the client id and the credential";

const WRONG_CLOUD: Reason = reason(
    "Graph's host does not belong to this cloud",
    "check --cloud, and AZURE_AUTHORITY_HOST and CALLVAULT_GRAPH_ENDPOINT if they are set",
);

const NO_FEDERATION: Reason = reason(
    "no federated credential of the app matches issuer, subject and audience of the federated token",
    "add one to the app registration (Certificates & secrets, Federated credentials)",
);

/// 700024 has two causes; the clock tells which.
pub(super) const OUT_OF_TIME: u32 = 700_024;
/// The certificate that was shown should be named.
pub(super) const UNKNOWN_CERTIFICATE: u32 = 700_027;
/// The token that was shown should be described.
pub(super) const NO_MATCHING_FEDERATION: [u32; 4] = [70_021, 700_211, 700_212, 700_213];

const REASONS: [(&[u32], Reason); 14] = [
    (&[7_000_215], reason("the client secret is wrong", "set AZURE_CLIENT_SECRET to the secret's value, not its id")),
    (
        &[7_000_222],
        reason("the client secret has expired", "make a new one in the app registration and set AZURE_CLIENT_SECRET"),
    ),
    (
        &[7_000_218],
        reason("the app showed neither secret nor assertion", "set AZURE_CLIENT_SECRET or another credential"),
    ),
    (
        &[700_016],
        reason(
            "the app is not known in this tenant",
            "check the client id and the tenant id, and that an administrator of the tenant has consented to the app",
        ),
    ),
    (&[90_002], reason("the tenant is not known", "check the tenant id, and that --cloud is the tenant's own")),
    (
        &[UNKNOWN_CERTIFICATE],
        reason("the certificate is not known to the app", "upload it to the app registration (Certificates & secrets)"),
    ),
    (
        &[700_021],
        reason("the assertion is about another app", "set AZURE_CLIENT_ID to the app that the credential belongs to"),
    ),
    (
        &[700_023],
        reason("the assertion is meant for another address", "check AZURE_AUTHORITY_HOST, --cloud and the tenant id"),
    ),
    (&[OUT_OF_TIME], reason("the assertion's time is over or has not come yet", "set this machine's clock right")),
    (&NO_MATCHING_FEDERATION, NO_FEDERATION),
    (&[70_011, 1_002_012], WRONG_CLOUD),
    (
        &[500_011],
        reason(
            "Graph is not known in this tenant",
            "check that --cloud is the tenant's own, and CALLVAULT_GRAPH_ENDPOINT",
        ),
    ),
    (
        &[7_000_112],
        reason(
            "the app is disabled",
            "enable it in the tenant (Enterprise applications, Enabled for users to sign in)",
        ),
    ),
    (
        &[90_033, 50_196],
        reason(
            "the login host is out of order for the moment, or is asked too often",
            "try again later; fewer runs at the same time ask less often",
        ),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_decides_on_the_meaning_and_is_found_in_the_text_too() {
        let said = Refused::read(
            br#"{"error":"invalid_client","error_description":"AADSTS7000222: expired.\r\nTrace ID: x"}"#,
        )
        .unwrap();
        assert_eq!(
            (said.error_codes.as_slice(), said.told().as_str()),
            ([7_000_222].as_slice(), "AADSTS7000222: expired.")
        );
        assert!(said.reason().meaning.contains("has expired"));
        let of = |error: &str| Refused { error: error.to_owned(), error_codes: vec![1], ..Refused::default() }.reason();
        assert!(of("invalid_client").meaning.contains("credentials"));
        assert_eq!(of("invalid_resource"), WRONG_CLOUD);
        assert!(of("new_error").hint.contains("tenant id"));
    }

    #[test]
    fn the_words_of_managed_identities_are_read_and_nothing_else_is() {
        let said = Refused::read(br#"{"error":"invalid_request","error_description":"Identity not found"}"#).unwrap();
        assert_eq!(said.told(), "Identity not found");
        let said =
            Refused::read(br#"{"statusCode":400,"message":"No User Assigned or Delegated Managed Identity found"}"#);
        assert!(said.unwrap().told().contains("No User Assigned"));
        assert!(Refused::read(b"{}").is_none() && Refused::read(b"<html>").is_none());
    }
}
