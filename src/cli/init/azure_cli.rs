//! The commands for the Azure command line, as a POSIX shell takes them.
//!
//! Sources: Azure CLI reference, "az ad app", "az ad sp", "az rest", "az cloud"; "Assign a managed identity access to an application
//! role using Azure CLI"; "Grant an appRoleAssignment to a service principal" (2026-08).

use std::io::{self, Write};

use crate::{
    cli::init::{Choice, Kind, quoted},
    graph::Cloud,
    model::source::{GRAPH_APP_ID, app_role_id},
};

pub(super) fn print(choice: &Choice, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# With the Azure CLI, by somebody who may register apps and grant admin consent:")?;
    if choice.cloud != Cloud::Global {
        writeln!(out, "az cloud set --name {}", cloud_name(choice.cloud))?;
    }
    match &choice.tenant {
        Some(tenant) => writeln!(out, "az login --tenant {tenant} --allow-no-subscriptions")?,
        None => writeln!(out, "az login")?,
    }
    if choice.kind == Kind::ManagedIdentity {
        identity(choice, out)?;
        return permissions_assigned(choice, out);
    }
    app(choice, out)?;
    if choice.cloud == Cloud::Global {
        permissions_consented(choice, out)?;
    } else {
        // The portal behind admin-consent is the worldwide one; the role itself can be assigned in every cloud.
        writeln!(out, "sp=$(az ad sp show --id \"$app\" --query id --output tsv)")?;
        permissions_assigned(choice, out)?;
    }
    credential(choice, out)?;
    writeln!(out, "echo \"$app\"  # the app's id: AZURE_CLIENT_ID")
}

/// `az` knows one government cloud for both levels.
fn cloud_name(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::Global => "AzureCloud",
        Cloud::UsGovL4 | Cloud::UsGovL5 => "AzureUSGovernment",
        Cloud::China => "AzureChinaCloud",
    }
}

fn app(choice: &Choice, out: &mut dyn Write) -> io::Result<()> {
    match &choice.client_id {
        Some(client_id) => {
            writeln!(out, "app={client_id}")?;
            writeln!(out, "az ad sp show --id \"$app\" --output none || az ad sp create --id \"$app\"")
        }
        None => {
            writeln!(
                out,
                "app=$(az ad app create --display-name callvault --sign-in-audience AzureADMyOrg --query appId --output tsv)"
            )?;
            writeln!(out, "az ad sp create --id \"$app\"")
        }
    }
}

fn permissions_consented(choice: &Choice, out: &mut dyn Write) -> io::Result<()> {
    for permission in choice.permissions() {
        writeln!(out, "# {permission}")?;
        let id = role(choice, permission, out)?;
        writeln!(out, "az ad app permission add --id \"$app\" --api {GRAPH_APP_ID} --api-permissions {id}=Role")?;
    }
    writeln!(out, "az ad app permission admin-consent --id \"$app\"")
}

/// Grants the permissions to the service principal `$sp` itself.
fn permissions_assigned(choice: &Choice, out: &mut dyn Write) -> io::Result<()> {
    let host = choice.cloud.graph_host();
    writeln!(out, "graph=$(az ad sp show --id {GRAPH_APP_ID} --query id --output tsv)")?;
    for permission in choice.permissions() {
        writeln!(out, "# {permission}")?;
        let id = role(choice, permission, out)?;
        writeln!(out, "az rest --method POST --uri \"{host}/v1.0/servicePrincipals/$sp/appRoleAssignments\" \\")?;
        writeln!(out, "    --headers Content-Type=application/json \\")?;
        writeln!(
            out,
            "    --body \"{{\\\"principalId\\\":\\\"$sp\\\",\\\"resourceId\\\":\\\"$graph\\\",\\\"appRoleId\\\":\\\"{id}\\\"}}\""
        )?;
    }
    Ok(())
}

/// The id of a permission: as published for the worldwide cloud, looked up by its name elsewhere.
fn role(choice: &Choice, permission: &str, out: &mut dyn Write) -> io::Result<String> {
    match app_role_id(permission) {
        Some(id) if choice.cloud == Cloud::Global => Ok(id.to_owned()),
        _ => {
            let query = format!("appRoles[?value=='{permission}'].id");
            writeln!(out, "role=$(az ad sp show --id {GRAPH_APP_ID} --query \"{query}\" --output tsv)")?;
            Ok("$role".to_owned())
        }
    }
}

fn identity(choice: &Choice, out: &mut dyn Write) -> io::Result<()> {
    match &choice.client_id {
        Some(client_id) => writeln!(out, "sp=$(az ad sp show --id {client_id} --query id --output tsv)"),
        None => {
            writeln!(out, "# The identity of the machine; of other resources the page Identity shows it (Object ID):")?;
            writeln!(out, "sp=$(az vm identity show --name VM --resource-group GROUP --query principalId --output tsv)")
        }
    }
}

fn credential(choice: &Choice, out: &mut dyn Write) -> io::Result<()> {
    let reset = "az ad app credential reset --id \"$app\" --append --display-name callvault --years 1 --query password --output tsv";
    match choice.kind {
        Kind::Secret => {
            writeln!(out, "# The secret is printed once; it is good for a year:")?;
            writeln!(out, "{reset}")
        }
        Kind::Certificate => {
            certificate(choice, out)?;
            writeln!(out, "# The public part goes to the app:")?;
            writeln!(out, "az ad app credential reset --id \"$app\" --append --cert @callvault.crt")
        }
        Kind::Federated => {
            let audience = audience(choice.cloud);
            writeln!(
                out,
                "# issuer and subject as the foreign token has them, such as system:serviceaccount:NAMESPACE:NAME"
            )?;
            writeln!(out, "az ad app federated-credential create --id \"$app\" --parameters \\")?;
            writeln!(
                out,
                "    '{{\"name\":\"callvault\",\"issuer\":\"ISSUER\",\"subject\":\"SUBJECT\",\"audiences\":[\"{audience}\"]}}'"
            )
        }
        Kind::AzureCli => {
            let tenant = choice.tenant.as_deref().unwrap_or("TENANT");
            writeln!(out, "# Call records are for apps only: the Azure CLI must be signed in as the app")?;
            writeln!(out, "secret=$({reset})")?;
            writeln!(
                out,
                "az login --service-principal --username \"$app\" --password \"$secret\" --tenant {tenant} --allow-no-subscriptions"
            )
        }
        Kind::ManagedIdentity => Ok(()),
    }
}

/// Makes `callvault.crt`, and before it the certificate with its key where there is none.
fn certificate(choice: &Choice, out: &mut dyn Write) -> io::Result<()> {
    let Some(certificate) = choice.certificate.as_deref() else { return Ok(()) };
    let path = quoted(certificate);
    if certificate.exists() {
        let is_pfx = certificate
            .extension()
            .is_some_and(|extension| ["pfx", "p12"].iter().any(|pfx| extension.eq_ignore_ascii_case(pfx)));
        let read = if is_pfx { "pkcs12 -nokeys -clcerts" } else { "x509" };
        return writeln!(out, "openssl {read} -in {path} -out callvault.crt");
    }
    writeln!(
        out,
        "# A certificate for a year; the file with the key is to be where callvault runs, and nowhere else:"
    )?;
    writeln!(out, "umask 077")?;
    writeln!(
        out,
        "openssl req -x509 -newkey rsa:2048 -sha256 -days 365 -nodes -subj /CN=callvault -keyout callvault.key -out callvault.crt"
    )?;
    writeln!(out, "cat callvault.key callvault.crt > {path} && rm callvault.key")
}

/// For whom a foreign token has to be made out.
pub(super) fn audience(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::Global => "api://AzureADTokenExchange",
        Cloud::UsGovL4 | Cloud::UsGovL5 => "api://AzureADTokenExchangeUSGov",
        Cloud::China => "api://AzureADTokenExchangeChina",
    }
}
