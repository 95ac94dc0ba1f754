//! Each way to sign in, through the program: what the login host gets to see, what a refusal tells, and that no secret leaves.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use callvault::{
    model::time::{Age, Timestamp},
    simulate::{
        APP_SERVICE_PATH, CLIENT_ID, FederatedCredential, ManagedIdentity, Planted, Settings, SignIn, SignInKind,
    },
};
use serde_json::{Value, json};

use crate::{
    keys::{PFX_PASSWORD, Signer, foreign_token, private_lines, public_key},
    support::{Bench, Ran, ago, empty, files_under, finish},
};

const ISSUER: &str = "https://oidc.cluster.example/id";
const SUBJECT: &str = "system:serviceaccount:archive:callvault";
const AUDIENCE: &str = "api://AzureADTokenExchange";
const HEADER: &str = "identity-header-9f2c71";
const USER_ASSIGNED: &str = "5b0b5c44-6d4f-4d3b-8b1f-93a0a7f0c111";

/// A world of one call, whose app knows a certificate and an issuer, on a machine with identities.
fn known(signer: &Signer) -> Settings {
    let federated = FederatedCredential {
        issuer: ISSUER.to_owned(),
        subject: SUBJECT.to_owned(),
        audience: AUDIENCE.to_owned(),
        public_key: public_key(),
    };
    Settings {
        certificates: vec![signer.der()],
        federated: vec![federated],
        managed_identity: ManagedIdentity {
            system_assigned: true,
            user_assigned: vec![USER_ASSIGNED.to_owned()],
            header: HEADER.to_owned(),
        },
        ..empty()
    }
}

fn bench(settings: Settings) -> Bench {
    let bench = Bench::new(settings);
    bench.simulator.plant(Planted::meeting("here", ago(Age::hours(9))));
    bench
}

/// Runs a command line with these variables and without the secret; a variable that is set to nothing is taken away.
fn run(bench: &Bench, line: &str, variables: &[(&str, &str)]) -> Ran {
    let mut program = bench.program();
    program.env_remove("AZURE_CLIENT_SECRET");
    for (name, value) in variables {
        match *value {
            "" => program.env_remove(name),
            value => program.env(name, value),
        };
    }
    program.args(line.split_whitespace()).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(program.spawn().unwrap(), line)
}

fn put(bench: &Bench, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = bench.beside(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

fn federated_claims(subject: &str) -> Value {
    let now = Timestamp::now().as_second();
    json!({ "iss": ISSUER, "sub": subject, "aud": [AUDIENCE], "iat": now, "nbf": now, "exp": now + 3600 })
}

fn last(bench: &Bench) -> SignIn {
    bench.simulator.sign_ins().last().unwrap().clone()
}

#[test]
fn a_certificate_in_any_usual_file_signs_in() {
    let signer = Signer::new();
    let bench = bench(known(&signer));
    let mut files =
        vec![(put(&bench, "app.pem", signer.pem()), ""), (put(&bench, "app1.pem", signer.pem_of_pkcs1()), "")];
    if cfg!(feature = "pfx") {
        files.push((put(&bench, "app.pfx", signer.pfx()), PFX_PASSWORD));
    }
    for (file, password) in &files {
        let variables =
            [("AZURE_CLIENT_CERTIFICATE_PATH", file.as_str()), ("AZURE_CLIENT_CERTIFICATE_PASSWORD", password)];
        run(&bench, "sync", &variables).ends_with(0);
        let SignIn { kind, header, claims, .. } = last(&bench);
        assert_eq!(kind, SignInKind::Certificate, "{file}");
        assert_eq!((&header["alg"], &header["typ"]), (&json!("PS256"), &json!("JWT")));
        assert!(header["x5t#S256"].is_string() && header.get("x5c").is_none());
        let url = format!("{}/{}/oauth2/v2.0/token", bench.simulator.url(), bench.simulator.tenant_id());
        assert_eq!(claims["aud"], url);
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!(CLIENT_ID), &json!(CLIENT_ID)));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["nbf"].as_i64().unwrap(), 600);
    }
    let ids: Vec<_> = bench.simulator.sign_ins().iter().map(|sign_in| sign_in.claims["jti"].to_string()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
    assert_eq!(bench.run("query --count").line(), "1");

    let chained =
        [("AZURE_CLIENT_CERTIFICATE_PATH", files[0].0.as_str()), ("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", "1")];
    run(&bench, "sync", &chained).ends_with(0);
    assert_eq!(last(&bench).header["x5c"].as_array().unwrap().len(), 1);
}

#[test]
fn a_certificate_that_cannot_be_used_ends_with_4_and_names_its_file() {
    let signer = Signer::new();
    let bench = bench(known(&signer));
    let ec = rcgen::generate_simple_self_signed(Vec::new()).unwrap();
    let ec = format!("{}{}", ec.signing_key.serialize_pem(), ec.cert.pem());
    let encrypted = signer.pem().replace("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE");
    let mut wrong = vec![
        ("ec.pem", ec.into_bytes(), "", "its key is no RSA key"),
        ("ended.pem", Signer::ending_on(2020, 1, 2).pem().into_bytes(), "", "has ended on 2020-01-02"),
        ("bare.pem", signer.certificate.pem().into_bytes(), "", "has no private key"),
        ("encrypted.pem", encrypted.into_bytes(), "", "its key is encrypted"),
        ("noise.pfx", vec![7; 300], "", "is neither PEM nor PFX"),
    ];
    if cfg!(feature = "pfx") {
        wrong.push(("app.pfx", signer.pfx(), "wrong-pass", "AZURE_CLIENT_CERTIFICATE_PASSWORD is not its password"));
        wrong.push(("open.pfx", signer.pfx(), "", "has a password, and AZURE_CLIENT_CERTIFICATE_PASSWORD is not set"));
    }
    for (name, content, password, told) in wrong {
        let file = put(&bench, name, content);
        let variables =
            [("AZURE_CLIENT_CERTIFICATE_PATH", file.as_str()), ("AZURE_CLIENT_CERTIFICATE_PASSWORD", password)];
        let ran = run(&bench, "sync -v -v", &variables).ends_with(4).telling(told).telling(&file).telling("hint: ");
        assert!(!ran.stderr.contains("wrong-pass"), "{}", ran.stderr);
    }
    let missing = [("AZURE_CLIENT_CERTIFICATE_PATH", "/nowhere/app.pem")];
    run(&bench, "sync", &missing).ends_with(4).telling("/nowhere/app.pem").telling("No such file");
    assert!(bench.simulator.sign_ins().is_empty() && !bench.archive().exists());
}

#[test]
fn a_certificate_near_its_end_warns_and_an_unknown_one_is_told_by_its_thumbprints() {
    let known_signer = Signer::new();
    let bench = bench(known(&known_signer));
    let soon = (Timestamp::now() + Age::days(9)).to_seconds_text();
    let number = |range: std::ops::Range<usize>| soon[range].parse::<u8>().unwrap();
    let near_end = Signer::ending_on(soon[..4].parse().unwrap(), number(5..7), number(8..10));
    let file = put(&bench, "near.pem", near_end.pem());
    let variables = [("AZURE_CLIENT_CERTIFICATE_PATH", file.as_str())];
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().concat();
    let of = |algorithm| hex(aws_lc_rs::digest::digest(algorithm, &near_end.der()).as_ref());
    run(&bench, "sync", &variables)
        .ends_with(4)
        .telling("is near its end")
        .telling("AADSTS700027")
        .telling(&of(&aws_lc_rs::digest::SHA256))
        .telling(&of(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY));
}

#[test]
fn a_clock_that_is_wrong_is_told_by_how_much() {
    let signer = Signer::new();
    let bench = bench(known(&signer));
    bench.simulator.advance(Age::hours(1));
    let file = put(&bench, "app.pem", signer.pem());
    run(&bench, "sync", &[("AZURE_CLIENT_CERTIFICATE_PATH", &file)])
        .ends_with(4)
        .telling("AADSTS700024")
        .telling("s behind the login host's");
}

#[test]
fn a_federated_token_signs_in_and_is_read_afresh() {
    let bench = bench(known(&Signer::new()));
    let file = put(&bench, "token", foreign_token(&federated_claims(SUBJECT)) + "\n");
    let variables = [("AZURE_FEDERATED_TOKEN_FILE", file.as_str())];
    run(&bench, "sync", &variables).ends_with(0);
    assert_eq!(last(&bench).kind, SignInKind::Federated);
    assert_eq!(last(&bench).claims["sub"], SUBJECT);

    put(&bench, "token", foreign_token(&federated_claims("repo:other")));
    run(&bench, "sync", &variables)
        .ends_with(4)
        .telling("AADSTS700213")
        .telling("subject 'repo:other'")
        .telling(&format!("audience '{AUDIENCE}'"));
    let mut claims = federated_claims(SUBJECT);
    claims["iss"] = json!("https://elsewhere.example");
    put(&bench, "token", foreign_token(&claims));
    run(&bench, "sync", &variables).ends_with(4).telling("AADSTS70021").telling("issuer 'https://elsewhere.example'");
    let mut claims = federated_claims(SUBJECT);
    claims["exp"] = json!(Timestamp::now().as_second() - 3600);
    put(&bench, "token", foreign_token(&claims));
    run(&bench, "sync", &variables).ends_with(4).telling("AADSTS700024").telling("the federated token has run out");

    put(&bench, "token", " \n");
    run(&bench, "sync", &variables).ends_with(4).telling(&file).telling("is empty");
    fs::remove_file(&file).unwrap();
    run(&bench, "sync", &variables).ends_with(4).telling(&file).telling("hint: ");
}

#[test]
fn a_managed_identity_of_app_service_needs_neither_tenant_nor_secret() {
    let bench = bench(known(&Signer::new()));
    let endpoint = bench.simulator.url() + APP_SERVICE_PATH;
    let variables = |client_id, header| {
        [
            ("IDENTITY_ENDPOINT", endpoint.as_str()),
            ("IDENTITY_HEADER", header),
            ("AZURE_TENANT_ID", ""),
            ("AZURE_CLIENT_ID", client_id),
        ]
    };
    run(&bench, "sync", &variables("", HEADER)).ends_with(0);
    assert_eq!((last(&bench).kind, last(&bench).client_id.as_str()), (SignInKind::ManagedIdentity, ""));
    run(&bench, "sync", &variables(USER_ASSIGNED, HEADER)).ends_with(0);
    assert_eq!(last(&bench).client_id, USER_ASSIGNED);
    run(&bench, "sync", &variables(CLIENT_ID, HEADER))
        .ends_with(4)
        .telling("this machine has no such managed identity")
        .telling(CLIENT_ID);
    run(&bench, "sync", &variables("", "another-header")).ends_with(4).telling("X-IDENTITY-HEADER");
    assert_eq!(bench.simulator.requests().token, 4);
}

#[test]
fn where_nothing_is_set_the_machine_s_own_identity_is_asked_for_once() {
    let bench = bench(known(&Signer::new()));
    run(&bench, "sync", &[("AZURE_TENANT_ID", ""), ("AZURE_CLIENT_ID", "")]).ends_with(0);
    assert_eq!(last(&bench).kind, SignInKind::ManagedIdentity);
    run(&bench, "sync", &[("AZURE_CLIENT_ID", ""), ("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1")])
        .ends_with(4)
        .telling("no credential is set, and no managed identity is to be had")
        .telling("AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH or AZURE_FEDERATED_TOKEN_FILE");
}

#[test]
fn instance_metadata_is_asked_when_chosen_and_its_moods_are_borne() {
    let bench = bench(known(&Signer::new()));
    let url = bench.simulator.url();
    let chosen = |host, client_id| {
        [
            ("AZURE_TOKEN_CREDENTIALS", "managed-identity"),
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", host),
            ("AZURE_TENANT_ID", ""),
            ("AZURE_CLIENT_ID", client_id),
        ]
    };
    bench.simulator.trouble_managed_identity(&[404, 410]);
    run(&bench, "sync", &chosen(&url, "")).ends_with(0);
    assert_eq!(bench.simulator.requests().token, 3);
    assert_eq!(last(&bench).kind, SignInKind::ManagedIdentity);
    run(&bench, "sync", &chosen(&url, CLIENT_ID)).ends_with(4).telling("Identity not found").telling("hint: assign");
    // Port 1 refuses: what a machine outside Azure meets at the metadata's address, only sooner.
    run(&bench, "sync", &chosen("http://127.0.0.1:1", ""))
        .ends_with(4)
        .telling("there is no managed identity: http://127.0.0.1:1/")
        .telling("only machines in Azure");
    run(&bench, "sync", &chosen("http://10.0.0.1", "")).ends_with(4).telling("plain http to another machine");
}

/// A token as the Azure command line would have it, straight from the simulator.
fn token(bench: &Bench) -> String {
    let host = bench.simulator.url().replace("http://", "");
    let mut stream = TcpStream::connect(&host).unwrap();
    write!(
        stream,
        "GET {APP_SERVICE_PATH}?api-version=2019-08-01&resource=https://graph.microsoft.com HTTP/1.1\r\nhost: {host}\r\n\
         x-identity-header: {HEADER}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    body["access_token"].as_str().unwrap().to_owned()
}

fn fake_az(bench: &Bench, script: &str) -> PathBuf {
    let folder = bench.beside("bin");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("az"), format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(folder.join("az"), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[test]
fn the_azure_command_line_is_asked_when_chosen_and_gets_no_secret() {
    let bench = bench(known(&Signer::new()));
    let printed =
        json!({ "accessToken": token(&bench), "expiresOn": "2030-01-01 00:00:00.000000", "tokenType": "Bearer" });
    let (reply, told) = (put(&bench, "reply.json", printed.to_string()), bench.beside("told"));
    let folder = fake_az(&bench, &format!("echo \"$@\" > {0}\n/usr/bin/env >> {0}\n/bin/cat {reply}", told.display()));
    let variables = [
        ("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential"),
        ("PATH", folder.to_str().unwrap()),
        ("AZURE_CLIENT_SECRET", "secret-for-nobody-else"),
    ];
    run(&bench, "sync", &variables).ends_with(0);
    assert_eq!(bench.run("query --count").line(), "1");
    let told = fs::read_to_string(told).unwrap();
    let arguments = format!(
        "account get-access-token --output json --resource {} --tenant {}\n",
        bench.simulator.url(),
        bench.simulator.tenant_id()
    );
    assert!(told.starts_with(&arguments), "{told}");
    assert!(!told.contains("secret-for-nobody-else"));

    fake_az(&bench, "echo 'ERROR: Please run az login' >&2; exit 1");
    run(&bench, "sync", &variables).ends_with(4).telling("Please run az login").telling("hint: sign in with: az login");
    fs::remove_file(folder.join("az")).unwrap();
    run(&bench, "sync", &variables).ends_with(4).telling("az is not on the path");
}

#[test]
fn each_refusal_of_the_login_host_says_what_to_do_and_ends_with_4() {
    let bench = bench(empty());
    let refusals = [
        (7_000_215, "the client secret is wrong", "not its id"),
        (7_000_222, "the client secret has expired", "make a new one"),
        (700_016, "the app is not known in this tenant", "check the client id and the tenant id"),
        (90_002, "the tenant is not known", "check the tenant id"),
        (700_027, "the certificate is not known to the app", "upload it"),
        (700_021, "the assertion is about another app", "AZURE_CLIENT_ID"),
        (700_023, "the assertion is meant for another address", "AZURE_AUTHORITY_HOST"),
        (700_024, "the assertion's time is over", "clock"),
        (70_021, "no federated credential of the app matches", "add one"),
        (700_213, "no federated credential of the app matches", "add one"),
        (70_011, "Graph's host does not belong to this cloud", "--cloud"),
        (1_002_012, "Graph's host does not belong to this cloud", "--cloud"),
        (500_011, "Graph is not known in this tenant", "--cloud"),
        (7_000_112, "the app is disabled", "enable it"),
    ];
    for (code, meaning, hint) in refusals {
        bench.simulator.refuse_sign_in(code, 1);
        let ran = bench.run("sync").ends_with(4).telling(&format!("AADSTS{code}")).telling(meaning);
        let [line, hint_line] = ran.stderr.lines().collect::<Vec<_>>()[..] else { panic!("{}", ran.stderr) };
        assert!(line.starts_with("error: sign-in is refused: ") && line.contains("trace id"), "{line}");
        assert!(hint_line.starts_with("hint: ") && hint_line.contains(hint), "{hint_line}");
    }
    for passing in [90_033, 50_196] {
        bench.simulator.refuse_sign_in(passing, 1);
        bench.run("sync").ends_with(0);
    }
    // Unknown to the simulator and to us: still told with its number.
    bench.simulator.refuse_sign_in(999_999, 1);
    bench.run("sync").ends_with(4).telling("AADSTS999999").telling("hint: ");
}

#[test]
fn no_secret_of_any_kind_reaches_output_or_archive() {
    let signer = Signer::new();
    let bench = bench(known(&signer));
    let federated = foreign_token(&federated_claims(SUBJECT));
    let unknown = Signer::ending_on(2031, 1, 1);
    let pem = put(&bench, "app.pem", signer.pem());
    let unknown_pem = put(&bench, "unknown.pem", unknown.pem());
    let token_file = put(&bench, "token", &federated);
    let endpoint = bench.simulator.url() + APP_SERVICE_PATH;
    let secret = bench.simulator.client_secret().to_owned();
    let mut ways: Vec<(i32, Vec<(&str, &str)>)> = vec![
        (0, vec![("AZURE_CLIENT_SECRET", &secret)]),
        (4, vec![("AZURE_CLIENT_SECRET", "a-wr0ng-secret-value")]),
        (0, vec![("AZURE_CLIENT_CERTIFICATE_PATH", &pem), ("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN", "true")]),
        (4, vec![("AZURE_CLIENT_CERTIFICATE_PATH", &unknown_pem)]),
        (0, vec![("AZURE_FEDERATED_TOKEN_FILE", &token_file)]),
        (0, vec![("IDENTITY_ENDPOINT", &endpoint), ("IDENTITY_HEADER", HEADER), ("AZURE_CLIENT_ID", "")]),
        (4, vec![("IDENTITY_ENDPOINT", &endpoint), ("IDENTITY_HEADER", HEADER)]),
    ];
    let pfx;
    if cfg!(feature = "pfx") {
        pfx = put(&bench, "app.pfx", signer.pfx());
        for (code, password) in [(0, PFX_PASSWORD), (4, "a-wr0ng-pfx-password")] {
            let file = ("AZURE_CLIENT_CERTIFICATE_PATH", pfx.as_str());
            ways.push((code, vec![file, ("AZURE_CLIENT_CERTIFICATE_PASSWORD", password)]));
        }
    }
    let mut said = Vec::new();
    for (code, variables) in &ways {
        for line in ["-v --log-format json sync --format json", "-v -v sync", "-v -v --log-format json sync"] {
            let ran = run(&bench, line, variables).ends_with(*code);
            said.extend(ran.stdout);
            said.extend(ran.stderr.into_bytes());
        }
        for line in ["-v -v query", "-v -v status", "-v -v --log-format json verify", "--help", "sync --help"] {
            let ran = run(&bench, line, variables).ends_with(0);
            said.extend(ran.stdout);
            said.extend(ran.stderr.into_bytes());
        }
    }
    let config = put(&bench, "config.toml", format!("[graph]\nclient_secret = \"{secret}\"\n"));
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
    for line in ["-v -v sync", "-v -v --log-format json status"] {
        let ran = run(&bench, line, &[]).ends_with(0);
        said.extend(ran.stdout);
        said.extend(ran.stderr.into_bytes());
    }
    for file in files_under(&bench.archive()) {
        said.extend(fs::read(file).unwrap());
    }
    let mut needles = vec![
        secret,
        "a-wr0ng-secret-value".to_owned(),
        federated.rsplit('.').next().unwrap().to_owned(),
        HEADER.to_owned(),
        PFX_PASSWORD.to_owned(),
        "a-wr0ng-pfx-password".to_owned(),
        "PRIVATE KEY".to_owned(),
        "Bearer ".to_owned(),
        "client_assertion=".to_owned(),
        // How tokens and assertions begin: {"typ… and {"alg….
        "eyJ0".to_owned(),
        "eyJh".to_owned(),
    ];
    needles.extend(private_lines(&signer.pem()));
    for needle in needles {
        let found = said.windows(needle.len()).any(|window| window == needle.as_bytes());
        assert!(!found, "{needle} was told");
    }
    assert!(said.windows(9).any(|window| window == b"signed in"), "the log does tell of signing in");
}

#[test]
fn a_config_file_with_a_secret_is_taken_from_its_owners_hands_alone() {
    let bench = bench(empty());
    let secret = bench.simulator.client_secret().to_owned();
    let config = |mode, line: &str| {
        let path = put(&bench, "config.toml", format!("[graph]\nrequests_per_20s = 30000\n{line}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    for (mode, name) in [(0o644, "client_secret"), (0o640, "client_certificate_password"), (0o604, "client_secret")] {
        let path = config(mode, &format!("{name} = '{secret}'"));
        let ran = run(&bench, "sync", &[]).ends_with(2).telling(&path).telling(&format!("hint: chmod 600 {path}"));
        assert!(!ran.stderr.contains(&secret));
        bench.run("status").ends_with(2);
    }
    config(0o600, &format!("client_secret = '{secret}'"));
    run(&bench, "sync", &[]).ends_with(0);
    config(0o644, "cloud = 'global'");
    bench.run("sync").ends_with(0);

    // Of what systemd hands over to a service the group's bits are those of its list of readers; others are others there too.
    for (mode, code) in [(0o440, 0), (0o444, 2), (0o460, 2)] {
        let path = config(mode, &format!("client_secret = '{secret}'"));
        let folder = path.rsplit_once('/').unwrap().0;
        run(&bench, "sync", &[("CREDENTIALS_DIRECTORY", folder)]).ends_with(code);
        run(&bench, "sync", &[("CREDENTIALS_DIRECTORY", "/run/credentials/other.service")]).ends_with(2);
        fs::remove_file(path).unwrap();
    }

    // What is wrong with it is told without it.
    for line in ["client_secret = 4711004711", "client_secret = 4711004711x", "client_secret = ['4711004711']"] {
        config(0o600, line);
        let ran = run(&bench, "sync", &[]).ends_with(2).telling("line 3");
        assert!(!ran.stderr.contains("4711004711"), "{}", ran.stderr);
    }
}

#[test]
fn the_config_file_may_name_everything_that_is_not_secret() {
    let signer = Signer::new();
    let bench = bench(known(&signer));
    let pem = put(&bench, "app.pem", signer.pem());
    let token_file = put(&bench, "token", foreign_token(&federated_claims(SUBJECT)));
    let both = format!("client_certificate_path = '{pem}'\nfederated_token_file = '{token_file}'\n");
    let expected = [
        ("", SignInKind::Certificate),
        ("credential = 'workload-identity'\n", SignInKind::Federated),
        ("credential = 'certificate'\n", SignInKind::Certificate),
    ];
    for (choice, kind) in expected {
        put(
            &bench,
            "config.toml",
            format!(
                "[graph]\ntenant_id = '{}'\nclient_id = '{CLIENT_ID}'\nauthority_host = '{url}'\nendpoint = '{url}'\n\
                 {both}{choice}",
                bench.simulator.tenant_id(),
                url = bench.simulator.url()
            ),
        );
        let nothing = ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_AUTHORITY_HOST", "CALLVAULT_GRAPH_ENDPOINT"];
        run(&bench, "sync", &nothing.map(|name| (name, ""))).ends_with(0);
        assert_eq!(last(&bench).kind, kind, "{choice}");
    }
    run(&bench, "sync", &[("AZURE_TOKEN_CREDENTIALS", "magic")]).ends_with(2).telling("'magic'").telling("azure-cli");
}

#[cfg(target_os = "linux")]
#[test]
fn a_crash_leaves_no_core_file_with_secrets() {
    let bench = bench(empty());
    let mut child = bench.start("simulate");
    let limits = format!("/proc/{}/limits", child.id());
    let deadline = Instant::now() + Duration::from_secs(20);
    let core_limits = || {
        let text = fs::read_to_string(&limits).unwrap();
        let line = text.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        line.split_whitespace().skip(4).take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    while core_limits() != ["0", "0"] {
        assert!(Instant::now() < deadline, "{:?}", core_limits());
        thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
