//! What to do about a refusal: the very command, where there is one.

use crate::{
    doctor::check::{Check, Risk},
    graph::Error,
    model::source::{GRAPH_APP_ID, app_role_id},
};

/// A failed request as a line of the examination; `client_id` is the app to name in commands.
pub(super) fn failed(check: &str, error: &Error, client_id: &str) -> Check {
    let finding = match error {
        Error::Transport { cause, .. } if is_of_dns(cause) => format!("its name is not known here: {error}"),
        _ => error.to_string(),
    };
    Check::fail(check, finding, mend(error, client_id), risk(error))
}

fn risk(error: &Error) -> Risk {
    match error {
        error if error.is_unauthorised() => Risk::Unauthorised,
        error if error.is_usage() => Risk::Settings,
        _ => Risk::Incomplete,
    }
}

fn mend(error: &Error, client_id: &str) -> String {
    match error {
        Error::Unauthorised { aadsts: Some(number), .. } => by_number(*number, client_id),
        Error::Unauthorised { .. } => "check AZURE_TENANT_ID, AZURE_CLIENT_ID and the credential".to_owned(),
        Error::TokenRefused { .. } => {
            "check that --cloud, AZURE_AUTHORITY_HOST and CALLVAULT_GRAPH_ENDPOINT belong to one cloud".to_owned()
        }
        Error::Forbidden { permission, .. } => grant(permission, client_id),
        Error::Transport { cause, .. } if is_of_dns(cause) => {
            "check the name server of this machine, --cloud and the hosts set; behind a proxy, set HTTPS_PROXY"
                .to_owned()
        }
        Error::Transport { url, .. } => {
            format!("let this machine reach {} by HTTPS; behind a proxy, set HTTPS_PROXY=http://HOST:PORT", host(url))
        }
        error if error.is_throttled() => "wait some minutes; other programs may use the same app".to_owned(),
        error if error.is_usage() => "mend the setting that it names".to_owned(),
        _ => "try again later; if it stays, give the request-id to Microsoft's support".to_owned(),
    }
}

fn by_number(aadsts: u32, client_id: &str) -> String {
    let check_app = format!(
        "check AZURE_CLIENT_ID and AZURE_TENANT_ID: az ad app show --id {client_id}, az account show --query tenantId; an \
         app of another tenant needs: az ad sp create --id {client_id}"
    );
    match aadsts {
        7_000_215 => format!(
            "set AZURE_CLIENT_SECRET to the secret's value, not its id; a value that is lost is made anew: {}",
            new_secret(client_id)
        ),
        7_000_222 => format!("make a new one and set AZURE_CLIENT_SECRET to it: {}", new_secret(client_id)),
        7_000_112 => "enable the app: Entra admin center, Enterprise applications, its Properties".to_owned(),
        700_016 => check_app,
        90_002 => {
            "check AZURE_TENANT_ID (az account show --query tenantId --output tsv), and --cloud: the tenant may be one of \
             another cloud"
                .to_owned()
        }
        700_024 => "set this machine's clock right: timedatectl set-ntp true".to_owned(),
        70_011 | 1_002_012 | 500_011 => {
            "check --cloud, AZURE_AUTHORITY_HOST and CALLVAULT_GRAPH_ENDPOINT: they belong to different clouds".to_owned()
        }
        _ => format!("look {aadsts} up at https://login.microsoftonline.com/error?code={aadsts}"),
    }
}

fn new_secret(client_id: &str) -> String {
    format!(
        "az ad app credential reset --id {client_id} --append --display-name callvault --years 1 --query password --output tsv"
    )
}

/// The commands that grant a permission.
pub(super) fn grant(permission: &str, client_id: &str) -> String {
    let api = match app_role_id(permission) {
        Some(id) => format!(
            "az ad app permission add --id {client_id} --api {GRAPH_APP_ID} --api-permissions {id}=Role && az ad app \
             permission admin-consent --id {client_id}"
        ),
        None => "Entra admin center, App registrations, API permissions".to_owned(),
    };
    format!(
        "grant the app the application permission {permission}, with admin consent: {api}; new tokens have it some minutes later"
    )
}

fn is_of_dns(cause: &str) -> bool {
    cause.contains("dns error") || cause.contains("failed to lookup address")
}

/// The host of an address that is shown to people.
fn host(url: &str) -> &str {
    url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Refusal;

    fn refused(aadsts: u32) -> String {
        by_number(aadsts, "APP")
    }

    #[test]
    fn each_known_refusal_has_a_mend_of_its_own() {
        assert!(refused(7_000_222).contains("make a new one") && refused(7_000_222).contains("reset --id APP"));
        assert!(refused(7_000_215).contains("value, not its id"));
        assert!(refused(700_016).contains("az ad app show --id APP"));
        assert!(refused(90_002).contains("AZURE_TENANT_ID") && refused(90_002).contains("--cloud"));
        assert!(refused(500_011).contains("different clouds"));
        assert!(refused(12_345).contains("code=12345"));
    }

    #[test]
    fn a_missing_permission_is_mended_with_its_id() {
        let url = "https://graph.microsoft.com/v1.0/users/delta".to_owned();
        let error = Error::Forbidden { url, permission: "User.Read.All", refusal: Refusal::default() };
        let check = failed("people", &error, "APP");
        assert!(check.mend.unwrap().contains("df021288-bdef-4463-88db-98f22de89214=Role"));
        assert_eq!(check.risk, Some(Risk::Unauthorised));
    }

    #[test]
    fn a_host_that_cannot_be_reached_is_named_without_its_path() {
        let transport =
            |cause: &str| Error::Transport { url: "https://h.example/a?b".to_owned(), cause: cause.to_owned() };
        assert!(mend(&transport("connection refused"), "").contains("reach h.example by HTTPS"));
        let dns = failed("graph-host", &transport("client error: dns error: no such name"), "");
        assert!(dns.finding.contains("not known here") && dns.mend.unwrap().contains("name server"));
        assert_eq!(dns.risk, Some(Risk::Incomplete));
    }
}
