//! The commands for Microsoft Graph PowerShell.
//!
//! Sources: Microsoft Graph PowerShell reference, "New-MgApplication", "Update-MgApplication", "New-MgServicePrincipal",
//! "New-MgServicePrincipalAppRoleAssignment", "Add-MgApplicationPassword", "Get-MgEnvironment" (2026-08).

use std::io::{self, Write};

use crate::{
    cli::init::{Choice, Kind, azure_cli::audience},
    graph::Cloud,
    model::source::{GRAPH_APP_ID, app_role_id},
};

pub(super) fn print(choice: &Choice, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n# Or with Microsoft Graph PowerShell:")?;
    let tenant = choice.tenant.as_ref().map_or_else(String::new, |tenant| format!(" -TenantId {tenant}"));
    writeln!(
        out,
        "Connect-MgGraph -Environment {}{tenant} -Scopes Application.ReadWrite.All,AppRoleAssignment.ReadWrite.All",
        environment(choice.cloud)
    )?;
    writeln!(out, "$graph = Get-MgServicePrincipal -Filter \"appId eq '{GRAPH_APP_ID}'\"")?;
    roles(choice, out)?;
    if choice.kind == Kind::ManagedIdentity {
        identity(choice, out)?;
    } else {
        app(choice, out)?;
    }
    writeln!(out, "foreach ($role in $roles) {{")?;
    writeln!(
        out,
        "    New-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $sp.Id -PrincipalId $sp.Id -ResourceId $graph.Id -AppRoleId $role"
    )?;
    writeln!(out, "}}")?;
    if choice.kind == Kind::ManagedIdentity {
        return Ok(());
    }
    credential(choice, out)?;
    writeln!(out, "$app.AppId  # the app's id: AZURE_CLIENT_ID")
}

fn environment(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::Global => "Global",
        Cloud::UsGovL4 => "USGov",
        Cloud::UsGovL5 => "USGovDoD",
        Cloud::China => "China",
    }
}

/// The ids of the permissions: as published for the worldwide cloud, looked up by name elsewhere.
fn roles(choice: &Choice, out: &mut dyn Write) -> io::Result<()> {
    let permissions = choice.permissions();
    let ids: Option<Vec<&str>> = permissions.iter().map(|permission| app_role_id(permission)).collect();
    let list = |items: &[&str]| items.iter().map(|item| format!("'{item}'")).collect::<Vec<_>>().join(", ");
    match ids.filter(|_| choice.cloud == Cloud::Global) {
        Some(ids) => writeln!(out, "$roles = @({})  # {}", list(&ids), permissions.join(", ")),
        None => writeln!(
            out,
            "$roles = @(($graph.AppRoles | Where-Object {{ $_.Value -in @({}) }}).Id)",
            list(&permissions)
        ),
    }
}

fn app(choice: &Choice, out: &mut dyn Write) -> io::Result<()> {
    match &choice.client_id {
        Some(client_id) => writeln!(out, "$app = Get-MgApplication -Filter \"appId eq '{client_id}'\"")?,
        None => writeln!(out, "$app = New-MgApplication -DisplayName callvault -SignInAudience AzureADMyOrg")?,
    }
    writeln!(out, "$access = @($roles | ForEach-Object {{ @{{ Id = $_; Type = 'Role' }} }})")?;
    if choice.client_id.is_some() {
        writeln!(out, "# This replaces what the app asks of other APIs; add those to the list if it asks for any:")?;
    }
    writeln!(
        out,
        "Update-MgApplication -ApplicationId $app.Id -RequiredResourceAccess @{{ ResourceAppId = '{GRAPH_APP_ID}'; ResourceAccess = $access }}"
    )?;
    match &choice.client_id {
        Some(client_id) => writeln!(out, "$sp = Get-MgServicePrincipal -Filter \"appId eq '{client_id}'\""),
        None => writeln!(out, "$sp = New-MgServicePrincipal -AppId $app.AppId"),
    }
}

fn identity(choice: &Choice, out: &mut dyn Write) -> io::Result<()> {
    match &choice.client_id {
        Some(client_id) => writeln!(out, "$sp = Get-MgServicePrincipal -Filter \"appId eq '{client_id}'\""),
        None => writeln!(
            out,
            "$sp = Get-MgServicePrincipal -ServicePrincipalId OBJECT-ID  # as the machine's page Identity shows it"
        ),
    }
}

fn credential(choice: &Choice, out: &mut dyn Write) -> io::Result<()> {
    match choice.kind {
        Kind::Secret | Kind::AzureCli => writeln!(
            out,
            "(Add-MgApplicationPassword -ApplicationId $app.Id -PasswordCredential @{{ DisplayName = 'callvault'; EndDateTime = (Get-Date).AddYears(1) }}).SecretText"
        ),
        Kind::Certificate => {
            writeln!(
                out,
                "# callvault.crt: the public part, made by openssl above. This replaces the app's other certificates."
            )?;
            writeln!(
                out,
                "$certificate = [System.Security.Cryptography.X509Certificates.X509Certificate2]::new(\"$PWD/callvault.crt\")"
            )?;
            writeln!(
                out,
                "Update-MgApplication -ApplicationId $app.Id -KeyCredentials @(@{{ Type = 'AsymmetricX509Cert'; Usage = 'Verify'; DisplayName = 'CN=callvault'; Key = $certificate.RawData }})"
            )
        }
        Kind::Federated => writeln!(
            out,
            "New-MgApplicationFederatedIdentityCredential -ApplicationId $app.Id -BodyParameter @{{ name = 'callvault'; issuer = 'ISSUER'; subject = 'SUBJECT'; audiences = @('{}') }}",
            audience(choice.cloud)
        ),
        Kind::ManagedIdentity => Ok(()),
    }
}
