//! What to do about a refusal: the very command, where there is one.

use crate::{
    doctor::check::{Check, Risk},
    graph::Error,
    model::source::{GRAPH_APP_ID, app_role_id},
};

/// Whom commands are about.
#[derive(Clone, Debug)]
pub(super) struct App {
    /// As it is typed.
    pub(super) client_id: String,
    /// An identity that Azure gives to a machine is no app registration.
    pub(super) is_managed: bool,
}

/// A failed request as a line of the examination.
pub(super) fn failed(check: &str, error: &Error, app: &App) -> Check {
    let finding = match error {
        Error::Transport { cause, .. } if is_of_dns(cause) => format!("its name is not known here: {error}"),
        _ => error.to_string(),
    };
    Check::fail(check, finding, mend(error, app), risk(error))
}

fn risk(error: &Error) -> Risk {
    match error {
        error if error.is_unauthorised() => Risk::Unauthorised,
        Error::Untrusted { .. } => Risk::Incomplete,
        error if error.is_usage() => Risk::Settings,
        _ => Risk::Incomplete,
    }
}

fn mend(error: &Error, app: &App) -> String {
    let by_kind = match error {
        Error::Unauthorised { aadsts: Some(number), .. } if !app.is_managed => by_number(*number, &app.client_id),
        Error::Forbidden { permission, .. } => Some(grant(permission, app)),
        Error::Transport { cause, .. } if is_of_dns(cause) => Some(
            "check the name server of this machine, --cloud and the hosts set; behind a proxy, set HTTPS_PROXY"
                .to_owned(),
        ),
        Error::Transport { url, .. } => Some(format!(
            "let this machine reach {} by HTTPS; behind a proxy, set HTTPS_PROXY=http://HOST:PORT",
            host(url)
        )),
        error if error.is_throttled() => Some("wait some minutes; other programs may use the same app".to_owned()),
        _ => None,
    };
    by_kind.or_else(|| error.hint()).unwrap_or_else(|| {
        let usage = "mend the setting that it names";
        let other = "try again later; if it stays, give the request-id to Microsoft's support";
        if error.is_usage() { usage } else { other }.to_owned()
    })
}

/// The refusals that a command mends, or shows the cause of.
fn by_number(aadsts: u32, client_id: &str) -> Option<String> {
    Some(match aadsts {
        7_000_215 => format!(
            "set AZURE_CLIENT_SECRET to the secret's value, not its id; a value that is lost is made anew: {}",
            new_secret(client_id)
        ),
        7_000_222 => format!("make a new one and set AZURE_CLIENT_SECRET to it: {}", new_secret(client_id)),
        700_016 => format!(
            "check AZURE_CLIENT_ID and AZURE_TENANT_ID: az ad app show --id {client_id}, az account show --query tenantId; \
             an app that was registered elsewhere needs: az ad sp create --id {client_id}"
        ),
        90_002 => {
            "check AZURE_TENANT_ID (az account show --query tenantId --output tsv), and --cloud: the tenant may be one of \
             another cloud"
                .to_owned()
        }
        _ => return None,
    })
}

fn new_secret(client_id: &str) -> String {
    format!(
        "az ad app credential reset --id {client_id} --append --display-name callvault --years 1 --query password --output tsv"
    )
}

/// The commands that grant a permission.
pub(super) fn grant(permission: &str, App { client_id, is_managed }: &App) -> String {
    let later = "; new tokens have it some minutes later";
    if *is_managed {
        return format!(
            "assign the app role {permission} of Microsoft Graph to the identity: callvault init --credential \
             managed-identity --config NEW.toml prints the commands{later} or hours"
        );
    }
    let api = match app_role_id(permission) {
        Some(id) => format!(
            "az ad app permission add --id {client_id} --api {GRAPH_APP_ID} --api-permissions {id}=Role && az ad app \
             permission admin-consent --id {client_id}"
        ),
        None => "Entra admin center, App registrations, API permissions".to_owned(),
    };
    format!("grant the app the application permission {permission}, with admin consent: {api}{later}")
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

    fn app() -> App {
        App { client_id: "APP".to_owned(), is_managed: false }
    }

    fn refused(aadsts: u32) -> String {
        let (error, message) = ("invalid_client".to_owned(), String::new());
        let hint = "the client's own hint".to_owned();
        mend(&Error::Unauthorised { error, aadsts: Some(aadsts), message, meaning: "m", hint }, &app())
    }

    #[test]
    fn a_refusal_that_a_command_mends_has_the_command() {
        assert!(refused(7_000_222).contains("make a new one") && refused(7_000_222).contains("reset --id APP"));
        assert!(refused(7_000_215).contains("value, not its id"));
        assert!(refused(700_016).contains("az ad app show --id APP"));
        assert!(refused(90_002).contains("AZURE_TENANT_ID") && refused(90_002).contains("--cloud"));
        assert_eq!(refused(500_011), "the client's own hint");
    }

    #[test]
    fn a_missing_permission_is_mended_with_its_id() {
        let url = "https://graph.microsoft.com/v1.0/users/delta".to_owned();
        let error = Error::Forbidden { url, permission: "User.Read.All", refusal: Refusal::default() };
        let check = failed("people", &error, &app());
        assert!(check.mend.unwrap().contains("df021288-bdef-4463-88db-98f22de89214=Role"));
        assert_eq!(check.risk, Some(Risk::Unauthorised));
        let machine = App { is_managed: true, ..app() };
        assert!(failed("people", &error, &machine).mend.unwrap().contains("--credential managed-identity"));
    }

    #[test]
    fn a_host_that_cannot_be_reached_is_named_without_its_path() {
        let url = || "https://h.example/a?b".to_owned();
        let transport = |cause: &str| Error::Transport { url: url(), cause: cause.to_owned() };
        assert!(mend(&transport("connection refused"), &app()).contains("reach h.example by HTTPS"));
        let dns = failed("graph-host", &transport("client error: dns error: no such name"), &app());
        assert!(dns.finding.contains("not known here") && dns.mend.unwrap().contains("name server"));
        assert_eq!(dns.risk, Some(Risk::Incomplete));
        let proxy = Error::Proxy { proxy: "http://p:1".to_owned(), url: url(), cause: "tunnel error".to_owned() };
        assert!(mend(&proxy, &app()).contains("HTTPS_PROXY"));
        let untrusted =
            failed("graph-host", &Error::Untrusted { url: url(), cause: "UnknownIssuer".to_owned() }, &app());
        assert!(untrusted.finding.contains("not trusted") && untrusted.mend.unwrap().contains("SSL_CERT_FILE"));
        assert_eq!(untrusted.risk, Some(Risk::Incomplete));
    }
}
