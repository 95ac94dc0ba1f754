//! The token of whoever is signed in to the Azure command line: for trying out, on a person's own machine.
//!
//! `az` is run without a shell and gets no secret, neither as argument nor in its environment. It reads nothing but a service
//! principal's or a person's own sign-in; call records take the former, since only applications may read them.

use std::{
    io::{self, Read},
    process::{Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use crate::graph::error::{Error, Result, excerpt};

/// It may have to renew its own sign-in over the network.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// What `az` must not see.
const SECRETS: [&str; 3] = ["AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PASSWORD", "IDENTITY_HEADER"];

/// What `az account get-access-token` prints.
pub(in crate::graph) async fn ask(resource: &str, tenant_id: Option<&str>) -> Result<Zeroizing<Vec<u8>>> {
    let mut az = Command::new("az");
    az.args(["account", "get-access-token", "--output", "json", "--resource", resource]);
    if let Some(tenant) = tenant_id {
        az.args(["--tenant", tenant]);
    }
    for name in SECRETS {
        az.env_remove(name);
    }
    let ran = spawn_blocking(move || run(az)).await;
    let trouble = |what: String| Error::Credential {
        what: format!("the Azure command line gives no token: {what}"),
        hint: "sign in with: az login (as a service principal: only applications may read call records)".to_owned(),
    };
    match ran {
        Ok(Ok(Output { status, stdout, .. })) if status.success() => Ok(Zeroizing::new(stdout)),
        Ok(Ok(output)) => Err(trouble(excerpt(&String::from_utf8_lossy(&output.stderr)))),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Err(trouble("az is not on the path".to_owned())),
        Ok(Err(error)) => Err(trouble(error.to_string())),
        Err(stopped) => Err(trouble(stopped.to_string())),
    }
}

fn run(mut command: Command) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let started = Instant::now();
    // A token and what is said about it fit into the pipes: they can be read at the end.
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if started.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::other(format!("az did not end within {} s", PATIENCE.as_secs())));
        }
        sleep(LOOK_AGAIN);
    };
    let (mut stdout, mut stderr) = (Vec::with_capacity(64 * 1024), Vec::new());
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_end(&mut stdout)?;
    }
    if let Some(mut pipe) = child.stderr.take() {
        pipe.read_to_end(&mut stderr)?;
    }
    Ok(Output { status, stdout, stderr })
}
