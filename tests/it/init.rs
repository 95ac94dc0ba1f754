//! `init`: the file that it writes is one that the program takes; the commands that it prints are such that a shell takes them.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::support::{Bench, Ran, empty, finish};

const CALLS: &str = "45bbb07e-7321-4fd7-a8f6-3ff27e6a81c8";
const PEOPLE: &str = "df021288-bdef-4463-88db-98f22de89214";

/// A folder to write into, and nothing in the environment but a home.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn init(&self, args: &[&str]) -> Ran {
        let mut program = Command::new(env!("CARGO_BIN_EXE_callvault"));
        program.env_clear().env("HOME", self.folder.path()).current_dir(self.folder.path());
        program.arg("init").args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(program.spawn().unwrap(), &args.join(" "))
    }
}

/// What `az` was asked when a POSIX shell ran the first part of what was printed; every question is answered with the words
/// that name what was asked for.
fn asked_of_az(desk: &Desk, printed: &str) -> Vec<String> {
    let (commands, _) = printed.split_once("# Or with Microsoft Graph PowerShell:").unwrap();
    let tools = desk.file("tools");
    fs::create_dir_all(&tools).unwrap();
    for (name, does) in [
        (
            "az",
            "printf '%s\\n' \"$*\" >>az.log; case \"$*\" in *'app create'*) echo APP;; *value==*) echo ROLE;; *) echo ID;; esac",
        ),
        (
            "openssl",
            "while [ $# -gt 0 ]; do case $1 in -keyout|-out) echo \"made by openssl\" >\"$2\";; esac; shift; done",
        ),
    ] {
        fs::write(tools.join(name), format!("#!/bin/sh\n{does}\n")).unwrap();
        fs::set_permissions(tools.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(desk.file("commands.sh"), commands).unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.args(["-eu", "commands.sh"]).env("PATH", path).current_dir(desk.folder.path());
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read_to_string(desk.file("az.log")).unwrap().lines().map(str::to_owned).collect()
}

fn has(asked: &[String], part: &str) -> bool {
    asked.iter().any(|line| line.contains(part))
}

#[test]
fn the_file_is_private_and_the_program_goes_on_with_it() {
    let bench = Bench::new(empty());
    let (config, archive) = (bench.beside("new/callvault.toml"), bench.beside("vault"));
    let run = |program: &mut Command, typed: &str| {
        program.stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(program.spawn().unwrap(), typed)
    };
    let mut program = Command::new(env!("CARGO_BIN_EXE_callvault"));
    program.env_clear().env("HOME", bench.beside("home")).stdin(Stdio::null()).arg("init");
    program.arg("--config").arg(&config).arg("--archive").arg(&archive);
    program.args(["--tenant", bench.simulator.tenant_id(), "--client-id", bench.simulator.client_id()]);
    let ran = run(&mut program, "init").ends_with(0).telling("callvault.toml");
    assert_eq!(fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!archive.exists(), "the first sync makes it");
    let written = fs::read_to_string(&config).unwrap();
    assert!(
        !written.contains(bench.simulator.client_secret()) && !ran.text().contains(bench.simulator.client_secret())
    );

    for (line, code) in [("doctor", 0), ("sync", 0), ("status", 0)] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_callvault"));
        program.env_clear().env("HOME", bench.beside("home")).env("CALLVAULT_CONFIG", &config);
        program
            .env("AZURE_AUTHORITY_HOST", bench.simulator.url())
            .env("CALLVAULT_GRAPH_ENDPOINT", bench.simulator.url());
        program.env("AZURE_CLIENT_SECRET", bench.simulator.client_secret()).arg(line);
        let ran = run(&mut program, line).ends_with(code);
        assert!(line != "doctor" || ran.text().contains("by the config file"), "{}", ran.text());
    }
    assert!(archive.join("archive.db").is_file());
}

#[test]
fn a_config_file_that_is_there_is_kept_unless_forced() {
    let desk = Desk::new();
    desk.init(&["--tenant", "one.example"]).ends_with(0);
    let default = desk.file(".config/callvault/config.toml");
    assert!(fs::read_to_string(&default).unwrap().contains("one.example"));
    let ran = desk.init(&["--tenant", "two.example"]).ends_with(2).telling("config.toml").telling("--force");
    assert!(ran.stdout.is_empty() && fs::read_to_string(&default).unwrap().contains("one.example"));
    desk.init(&["--tenant", "two.example", "--force"]).ends_with(0);
    assert!(fs::read_to_string(&default).unwrap().contains("two.example"));
}

#[test]
fn without_a_terminal_what_is_missing_is_named_and_nothing_written() {
    let desk = Desk::new();
    for (args, part) in [
        (&[][..], "--tenant"),
        (&["--tenant", "t.example", "--credential", "certificate"], "--certificate"),
        (&["--tenant", "https://t.example/"], "--tenant"),
        (&["--tenant", "t.example", "--client-id", "callvault"], "--client-id"),
        (&["--tenant", "t.example", "--source", "calls,gossip"], "gossip"),
        (&["--tenant", "t.example", "--countries", "Germany"], "GERMANY"),
        (&["--tenant", "t.example", "--cloud", "mars"], "--cloud"),
        (&["--tenant", "t.example", "--credential", "password"], "password"),
    ] {
        let ran = desk.init(args).ends_with(2).telling(part);
        assert!(ran.stdout.is_empty(), "{args:?}");
    }
    fs::write(desk.file("thesis.doc"), b"mine").unwrap();
    desk.init(&["--tenant", "t.example", "--archive", "."]).ends_with(2).telling("holds no archive");
    assert!(!desk.file(".config").exists());
}

#[test]
fn the_commands_register_an_app_with_each_permission_by_its_id() {
    let desk = Desk::new();
    let printed = desk.init(&["--tenant", "t.example"]).ends_with(0).text();
    let asked = asked_of_az(&desk, &printed);
    for part in [
        "login --tenant t.example",
        "ad app create --display-name callvault --sign-in-audience AzureADMyOrg",
        "ad sp create --id APP",
        &format!(
            "ad app permission add --id APP --api 00000003-0000-0000-c000-000000000000 --api-permissions {CALLS}=Role"
        ),
        &format!("--api-permissions {PEOPLE}=Role"),
        "ad app permission admin-consent --id APP",
        "ad app credential reset --id APP --append",
    ] {
        assert!(has(&asked, part), "{part}: {asked:#?}");
    }
    for part in [
        "Connect-MgGraph -Environment Global -TenantId t.example",
        "New-MgApplication -DisplayName callvault",
        "Update-MgApplication -ApplicationId $app.Id -RequiredResourceAccess",
        "New-MgServicePrincipal -AppId $app.AppId",
        "New-MgServicePrincipalAppRoleAssignment",
        "Add-MgApplicationPassword",
        "callvault doctor\ncallvault sync\n",
    ] {
        assert!(printed.contains(part), "{part}");
    }
}

#[test]
fn in_other_clouds_permissions_are_looked_up_by_name() {
    for (cloud, az, graph, powershell) in [
        ("usgov-l4", "AzureUSGovernment", "https://graph.microsoft.us", "USGov "),
        ("usgov-l5", "AzureUSGovernment", "https://dod-graph.microsoft.us", "USGovDoD "),
        ("china", "AzureChinaCloud", "https://microsoftgraph.chinacloudapi.cn", "China "),
    ] {
        let desk = Desk::new();
        let printed = desk.init(&["--tenant", "t.example", "--cloud", cloud, "--source", "pstn"]).ends_with(0).text();
        let asked = asked_of_az(&desk, &printed);
        assert!(has(&asked, &format!("cloud set --name {az}")), "{asked:#?}");
        assert!(has(&asked, "appRoles[?value=='CallRecord-PstnCalls.Read.All'].id"), "{asked:#?}");
        let uri = format!("--uri {graph}/v1.0/servicePrincipals/ID/appRoleAssignments");
        let body = r#"--body {"principalId":"ID","resourceId":"ID","appRoleId":"ROLE"}"#;
        assert!(has(&asked, &uri) && has(&asked, body), "{asked:#?}");
        assert!(printed.contains(&format!("Connect-MgGraph -Environment {powershell}")) && !printed.contains(CALLS));
    }
}

#[test]
fn a_certificate_is_made_where_there_is_none_and_one_that_is_there_is_kept() {
    let desk = Desk::new();
    let args = ["--tenant", "t.example", "--credential", "certificate", "--certificate", "it's mine.pem", "--force"];
    let printed = desk.init(&args).ends_with(0).telling("not there yet").text();
    let asked = asked_of_az(&desk, &printed);
    assert!(has(&asked, "credential reset --id APP --append --cert @callvault.crt"), "{asked:#?}");
    let certificate = desk.file("it's mine.pem");
    assert_eq!(fs::read_to_string(&certificate).unwrap(), "made by openssl\nmade by openssl\n");
    assert_eq!(mode(&certificate), 0o600);

    fs::write(&certificate, "kept").unwrap();
    let printed = desk.init(&args).ends_with(0).text();
    asked_of_az(&desk, &printed);
    assert_eq!(fs::read_to_string(&certificate).unwrap(), "kept");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_identity_of_azure_gets_the_roles_itself() {
    let desk = Desk::new();
    let printed = desk.init(&["--credential", "managed-identity", "--source", "calls"]).ends_with(0).text();
    let asked = asked_of_az(&desk, &printed);
    assert!(has(&asked, "vm identity show") && !has(&asked, "ad app create"), "{asked:#?}");
    assert!(has(&asked, &format!(r#""appRoleId":"{CALLS}"}}"#)) && !has(&asked, PEOPLE), "{asked:#?}");
    let written = fs::read_to_string(desk.file(".config/callvault/config.toml")).unwrap();
    assert!(written.contains("\ncredential = \"managed-identity\"\n"), "{written}");
}

#[test]
fn a_federated_credential_has_the_audience_of_its_cloud() {
    let desk = Desk::new();
    let args = ["--tenant", "t.example", "--credential", "federated", "--cloud", "usgov-l4"];
    let asked = asked_of_az(&desk, &desk.init(&args).ends_with(0).text());
    assert!(has(&asked, r#""audiences":["api://AzureADTokenExchangeUSGov"]"#), "{asked:#?}");
    let written = fs::read_to_string(desk.file(".config/callvault/config.toml")).unwrap();
    assert!(written.contains("\ncredential = \"workload-identity\"\n"), "{written}");
}
