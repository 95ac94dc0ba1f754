//! Which credential a run signs in with: the order of Azure's own libraries (`DefaultAzureCredential`), without guessing.
//!
//! What is set decides: a client secret, else a certificate, else a federated token, else a managed identity, which the
//! environment names or the instance metadata gives. What the environment sets goes before what the config file sets. Where nothing
//! is set, the metadata is asked once and not for long: outside Azure nobody answers. The Azure command line is asked only when
//! somebody chose it: it is a person.

use secrecy::{ExposeSecret, SecretString};

use crate::{
    cli::{
        config::GraphFile,
        env::Env,
        exit::{Code, Failure, Result},
    },
    graph::{
        Credential,
        credential::{
            certificate::CertificateFile,
            federated::TokenFile,
            managed::{ARC_KEYS, ManagedIdentity},
        },
    },
};

/// A kind of credential, as it can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Secret,
    Certificate,
    WorkloadIdentity,
    ManagedIdentity,
    AzureCli,
}

use Kind::{AzureCli, Certificate, ManagedIdentity as Managed, Secret, WorkloadIdentity};

/// Our names, and those that `AZURE_TOKEN_CREDENTIALS` has in Azure's libraries; letters of any case.
const CHOICES: [(&str, &[Kind]); 11] = [
    ("secret", &[Secret]),
    ("certificate", &[Certificate]),
    ("workload-identity", &[WorkloadIdentity]),
    ("managed-identity", &[Managed]),
    ("azure-cli", &[AzureCli]),
    ("EnvironmentCredential", &[Secret, Certificate]),
    ("WorkloadIdentityCredential", &[WorkloadIdentity]),
    ("ManagedIdentityCredential", &[Managed]),
    ("AzureCliCredential", &[AzureCli]),
    ("prod", &[Secret, Certificate, WorkloadIdentity, Managed]),
    ("dev", &[AzureCli]),
];
/// How many of them help a person who mistyped one.
const OUR_NAMES: usize = 5;

/// The credential of this run.
pub(super) fn choose(env: &Env, file: &GraphFile) -> Result<Credential> {
    let choice = env.token_credentials.as_ref().or(file.credential.as_ref()).map(|name| chain(name)).transpose()?;
    let kinds = choice.unwrap_or(&[Secret, Certificate, WorkloadIdentity]);
    if let Some(credential) = first_given(kinds, env, file)? {
        return Ok(credential);
    }
    let client_id = env.client_id.clone().or_else(|| file.client_id.clone());
    let may_be_managed = choice.is_none_or(|kinds| kinds.contains(&Managed));
    match (&env.identity_endpoint, &env.identity_header) {
        (Some(endpoint), Some(header)) if may_be_managed => {
            let identity = ManagedIdentity::app_service(endpoint, header.clone(), client_id)?;
            Ok(Credential::Managed(identity))
        }
        (Some(endpoint), None) if may_be_managed && env.imds_endpoint.is_some() => {
            Ok(Credential::Managed(ManagedIdentity::arc(endpoint, ARC_KEYS.into())?))
        }
        (Some(_), None) if may_be_managed => Err(unauthorised("IDENTITY_ENDPOINT is set without IDENTITY_HEADER")
            .hint("managed identities of Service Fabric are not supported; set another credential")),
        _ if choice.is_some_and(|kinds| kinds.contains(&Managed)) => {
            let identity = ManagedIdentity::metadata(env.pod_identity_authority_host.as_deref(), client_id)?;
            Ok(Credential::Managed(identity))
        }
        _ if choice.is_some_and(|kinds| kinds.contains(&AzureCli)) => Ok(Credential::AzureCli),
        _ if choice.is_none() => {
            let identity = ManagedIdentity::metadata(env.pod_identity_authority_host.as_deref(), client_id)?;
            Ok(Credential::Managed(identity.as_last_resort()))
        }
        _ => Err(missing(kinds)),
    }
}

/// The first credential of these kinds that is set.
fn first_given(kinds: &[Kind], env: &Env, file: &GraphFile) -> Result<Option<Credential>> {
    struct Given<'a> {
        secret: Option<&'a SecretString>,
        certificate: Option<&'a std::path::PathBuf>,
        token: Option<&'a std::path::PathBuf>,
    }
    let by_environment = Given {
        secret: env.client_secret.as_ref(),
        certificate: env.client_certificate_path.as_ref(),
        token: env.federated_token_file.as_ref(),
    };
    let by_file = Given {
        secret: file.client_secret.as_ref().filter(|secret| !secret.expose_secret().is_empty()),
        certificate: file.client_certificate_path.as_ref(),
        token: file.federated_token_file.as_ref(),
    };
    for given in [by_environment, by_file] {
        for kind in kinds {
            let credential = match kind {
                Secret => given.secret.map(|secret| Ok(Credential::Secret(secret.clone()))),
                Certificate => given.certificate.map(|path| {
                    let password =
                        env.client_certificate_password.as_ref().or(file.client_certificate_password.as_ref());
                    let file = CertificateFile::open(path.clone(), password.cloned(), env.send_certificate_chain)?;
                    Ok(Credential::Certificate(file))
                }),
                WorkloadIdentity => given.token.map(|path| Ok(Credential::Federated(TokenFile::open(path.clone())?))),
                Managed | AzureCli => None,
            };
            if let Some(credential) = credential {
                return credential.map(Some);
            }
        }
    }
    Ok(None)
}

fn chain(name: &str) -> Result<&'static [Kind]> {
    let found = CHOICES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, kinds)| *kinds);
    found.ok_or_else(|| {
        let names: Vec<_> = CHOICES.iter().take(OUR_NAMES).map(|(name, _)| *name).collect();
        let message = format!("there is no credential '{name}'; there are {}", names.join(", "));
        Failure::new(Code::Usage, message)
            .hint("it stands in AZURE_TOKEN_CREDENTIALS, or as credential in the config file")
    })
}

fn missing(kinds: &[Kind]) -> Failure {
    let variable = |kind: &Kind| match kind {
        Secret => Some("AZURE_CLIENT_SECRET"),
        Certificate => Some("AZURE_CLIENT_CERTIFICATE_PATH"),
        WorkloadIdentity => Some("AZURE_FEDERATED_TOKEN_FILE"),
        Managed | AzureCli => None,
    };
    let variables: Vec<_> = kinds.iter().filter_map(variable).collect();
    let verb = if variables.len() == 1 { "is not set" } else { "are not set, and one of them must be" };
    unauthorised(format!("no credential: {} {verb}", variables.join(", "))).hint(
        "set it in the environment, or in a config file that only you can read; secrets are never taken from flags; \
         on a machine in Azure, choose its own identity with: AZURE_TOKEN_CREDENTIALS=managed-identity",
    )
}

fn unauthorised(message: impl Into<String>) -> Failure {
    Failure::new(Code::Unauthorised, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        SecretString::from(text.to_owned())
    }

    fn app_service() -> Env {
        Env {
            identity_endpoint: Some("http://127.0.0.1:1/msi/token".to_owned()),
            identity_header: Some(secret("h")),
            ..Env::default()
        }
    }

    fn name(env: &Env, file: &GraphFile) -> String {
        choose(env, file).map_or_else(|failure| failure.message, |credential| credential.name().to_owned())
    }

    #[test]
    fn what_is_set_decides_and_the_environment_goes_first() {
        let none = GraphFile::default();
        let in_file = GraphFile { client_secret: Some(secret("s")), ..GraphFile::default() };
        assert_eq!(name(&Env { client_secret: Some(secret("s")), ..app_service() }, &none), "client secret");
        assert_eq!(name(&app_service(), &in_file), "client secret");
        assert_eq!(name(&app_service(), &none), "managed identity of the App Service");
        let missing_file = Env { client_certificate_path: Some("/nowhere/a.pem".into()), ..app_service() };
        assert!(name(&missing_file, &in_file).contains("/nowhere/a.pem"), "a certificate that is set must be there");
        assert_eq!(name(&Env::default(), &none), "managed identity by instance metadata");
        let half = Env { identity_header: None, ..app_service() };
        assert!(name(&half, &none).contains("without IDENTITY_HEADER"));
        let arc = Env { imds_endpoint: Some("http://localhost:40342".to_owned()), ..half };
        assert_eq!(name(&arc, &none), "managed identity of Azure Arc");
    }

    #[test]
    fn a_choice_is_kept_to() {
        let none = GraphFile::default();
        let chosen = |name: &str, env: Env| Env { token_credentials: Some(name.to_owned()), ..env };
        let with_secret = || Env { client_secret: Some(secret("s")), ..Env::default() };
        assert_eq!(name(&chosen("azure-cli", with_secret()), &none), "Azure command line");
        assert_eq!(name(&chosen("azureclicredential", with_secret()), &none), "Azure command line");
        assert_eq!(name(&chosen("managed-identity", with_secret()), &none), "managed identity by instance metadata");
        assert_eq!(
            name(&chosen("ManagedIdentityCredential", app_service()), &none),
            "managed identity of the App Service"
        );
        assert_eq!(name(&chosen("prod", with_secret()), &none), "client secret");
        assert_eq!(name(&chosen("prod", Env::default()), &none), "managed identity by instance metadata");
        assert!(
            name(&chosen("certificate", with_secret()), &none).contains("AZURE_CLIENT_CERTIFICATE_PATH is not set")
        );
        assert!(name(&chosen("workload-identity", app_service()), &none).contains("AZURE_FEDERATED_TOKEN_FILE"));
        assert!(name(&chosen("EnvironmentCredential", app_service()), &none).contains("AZURE_CLIENT_SECRET"));
        let failure = choose(&chosen("magic", with_secret()), &none).unwrap_err();
        assert_eq!(failure.code, Code::Usage);
        assert!(failure.message.contains("'magic'") && failure.message.contains("managed-identity"));
    }
}
