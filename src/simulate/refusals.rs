//! What the login host says when it gives no token: status, `error`, number and text, as Microsoft's does.

use crate::{
    model::time::Timestamp,
    simulate::{dice::Dice, json::Json},
};

/// A refusal of the login host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    error: &'static str,
    code: u32,
    message: &'static str,
}

impl Refusal {
    /// The refusal of this number; one without words when it is none of ours.
    pub(super) fn numbered(code: u32) -> Self {
        let unknown = Self { status: 400, error: "invalid_request", code, message: "The request is refused." };
        ALL.into_iter().find(|refusal| refusal.code == code).unwrap_or(unknown)
    }

    pub(super) fn body(self, app: &str, now: Timestamp, dice: &mut Dice) -> String {
        let (trace, correlation) = (dice.guid(), dice.guid());
        let at = now.to_seconds_text().replace('T', " ");
        let message = self.message.replace("{app}", app);
        let description = format!(
            "AADSTS{}: {message}\r\nTrace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {at}",
            self.code
        );
        Json::new_with(|json| {
            json.raw("{\"error\":\"").raw(self.error).raw("\",\"error_description\":").text(&description);
            json.raw(",\"error_codes\":[")
                .show(self.code)
                .raw("],\"timestamp\":\"")
                .raw(&at)
                .raw("\",\"trace_id\":\"")
                .raw(&trace);
            json.raw("\",\"correlation_id\":\"")
                .raw(&correlation)
                .raw("\",\"error_uri\":\"https://login.microsoftonline.com/error?code=");
            json.show(self.code).raw("\"}");
        })
    }
}

const fn refusal(status: u16, error: &'static str, code: u32, message: &'static str) -> Refusal {
    Refusal { status, error, code, message }
}

const ALL: [Refusal; 20] = [
    WRONG_SECRET,
    SECRET_EXPIRED,
    NO_CREDENTIAL,
    APP_NOT_FOUND,
    APP_DISABLED,
    TENANT_NOT_FOUND,
    INVALID_SCOPE,
    OLD_INVALID_SCOPE,
    UNKNOWN_RESOURCE,
    UNSUPPORTED_GRANT,
    NO_GRANT_TYPE,
    UNKNOWN_CERTIFICATE,
    OTHER_APP,
    WRONG_AUDIENCE,
    OUT_OF_TIME,
    NO_FEDERATION,
    NO_FEDERATED_SUBJECT,
    MALFORMED_ASSERTION,
    OUT_OF_ORDER,
    TOO_OFTEN,
];

pub(super) const WRONG_SECRET: Refusal = refusal(
    401,
    "invalid_client",
    7_000_215,
    "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{app}'.",
);
const SECRET_EXPIRED: Refusal = refusal(
    401,
    "invalid_client",
    7_000_222,
    "The provided client secret keys for app '{app}' are expired. Create new keys for the app.",
);
pub(super) const NO_CREDENTIAL: Refusal = refusal(
    401,
    "invalid_client",
    7_000_218,
    "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
);
pub(super) const APP_NOT_FOUND: Refusal = refusal(
    400,
    "unauthorized_client",
    700_016,
    "Application with identifier was not found in the directory 'Contoso'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.",
);
const APP_DISABLED: Refusal =
    refusal(400, "unauthorized_client", 7_000_112, "Application '{app}'(callvault) is disabled.");
pub(super) const TENANT_NOT_FOUND: Refusal = refusal(
    400,
    "invalid_request",
    90_002,
    "Tenant not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.",
);
pub(super) const INVALID_SCOPE: Refusal = refusal(
    400,
    "invalid_scope",
    1_002_012,
    "The provided value for scope is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).",
);
const OLD_INVALID_SCOPE: Refusal =
    refusal(400, "invalid_scope", 70_011, "The provided request must include a 'scope' input parameter that is valid.");
pub(super) const UNKNOWN_RESOURCE: Refusal = refusal(
    400,
    "invalid_resource",
    500_011,
    "The resource principal was not found in the tenant named Contoso. This can happen if the application has not been installed by the administrator of the tenant.",
);
pub(super) const UNSUPPORTED_GRANT: Refusal =
    refusal(400, "unsupported_grant_type", 70_003, "The app requested an unsupported grant type.");
pub(super) const NO_GRANT_TYPE: Refusal =
    refusal(400, "invalid_request", 900_144, "The request body must contain the following parameter: 'grant_type'.");
pub(super) const UNKNOWN_CERTIFICATE: Refusal = refusal(
    401,
    "invalid_client",
    700_027,
    "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found.]",
);
pub(super) const OTHER_APP: Refusal = refusal(
    401,
    "invalid_client",
    700_021,
    "Client assertion application identifier doesn't match 'client_id' parameter.",
);
pub(super) const WRONG_AUDIENCE: Refusal =
    refusal(401, "invalid_client", 700_023, "Client assertion audience claim does not match Realm issuer.");
pub(super) const OUT_OF_TIME: Refusal =
    refusal(401, "invalid_client", 700_024, "Client assertion is not within its valid time range.");
pub(super) const NO_FEDERATION: Refusal =
    refusal(400, "invalid_request", 70_021, "No matching federated identity record found for presented assertion.");
pub(super) const NO_FEDERATED_SUBJECT: Refusal = refusal(
    401,
    "invalid_client",
    700_213,
    "No matching federated identity record found for presented assertion subject. Check your federated identity credential Subject, Audience and Issuer against the presented assertion.",
);
pub(super) const MALFORMED_ASSERTION: Refusal =
    refusal(400, "invalid_request", 50_027, "JWT token is invalid or malformed.");
const OUT_OF_ORDER: Refusal =
    refusal(503, "temporarily_unavailable", 90_033, "A transient error has occurred. Please try again.");
const TOO_OFTEN: Refusal = refusal(
    400,
    "invalid_grant",
    50_196,
    "The server terminated an operation because it encountered a client request loop. Please contact your app vendor.",
);
