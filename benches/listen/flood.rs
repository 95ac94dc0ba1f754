//! Notifications as fast as they are answered.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use callvault::{
    archive::{Folder, inbox::Inbox},
    simulate::{Settings, Simulator},
};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    Result,
    setting::{Setting, cpu, quantile},
};

const CONNECTIONS: usize = 8;

#[expect(clippy::print_stdout, reason = "its figures are the result")]
pub(crate) fn run(notifications: usize, batch: usize) -> Result<()> {
    let setting = Setting::new(Settings { calls_per_day: 0, ..Settings::default() })?;
    let mut receiver = setting.listen(&["--receive-only"])?;
    let folder = Folder::new(&setting.archive());
    let inbox = Inbox::open_existing(&folder)?.ok_or("no inbox")?;
    let kept = loop {
        if let Some(kept) = inbox.subscriptions()?.pop() {
            break kept;
        }
        thread::sleep(Duration::from_millis(20));
    };
    let item = |n: usize, tenant: &str| {
        format!(
            r##"{{"subscriptionId":"{}","clientState":"{}","changeType":"updated","resource":"communications/callRecords/{}","subscriptionExpirationDateTime":"2026-12-01T00:00:00Z","resourceData":{{"@odata.type":"#microsoft.graph.callrecord","@odata.id":"communications/callRecords/{}","id":"{}"}},"tenantId":"{tenant}"}}"##,
            kept.id,
            kept.client_state,
            id(n),
            id(n),
            id(n)
        )
    };
    let of_tenant = |simulator: &Simulator| simulator.tenant_id().to_owned();
    let tenant = of_tenant(&setting.simulator);
    let bodies: Vec<String> = (0..notifications)
        .collect::<Vec<_>>()
        .chunks(batch)
        .map(|numbers| {
            let items: Vec<String> = numbers.iter().map(|n| item(*n, &tenant)).collect();
            format!(r#"{{"value":[{}]}}"#, items.join(","))
        })
        .collect();
    let (before, began) = (cpu(&receiver)?, Instant::now());
    let port = setting.port;
    let mut waits: Vec<Duration> = thread::scope(|scope| {
        let bodies = &bodies;
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|n| scope.spawn(move || send(port, bodies.iter().skip(n).step_by(CONNECTIONS))))
            .collect();
        senders
            .into_iter()
            .map(|sender| sender.join().map_err(|_| "a sender died")?)
            .collect::<std::result::Result<Vec<_>, String>>()
    })?
    .concat();
    let (took, cpu) = (began.elapsed(), cpu(&receiver)?.saturating_sub(before));
    kill_process(Pid::from_child(&receiver), Signal::KILL)?;
    receiver.wait()?;
    // Killed without a word: what was answered for is on disk.
    let waiting: HashSet<String> = inbox.announced(usize::MAX)?.into_iter().map(|announced| announced.id).collect();
    let lost = (0..notifications).filter(|n| !waiting.contains(&id(*n))).count();
    if lost > 0 {
        return Err(format!("{lost} ids that were answered with 202 are not in the inbox").into());
    }
    waits.sort_unstable();
    let at = |share| quantile(&waits, share).unwrap_or_default().as_secs_f64() * 1e3;
    let all = f64::from(u32::try_from(notifications)?);
    let per_s = all / took.as_secs_f64();
    println!(
        "{notifications} notifications, {batch} a request: {per_s:.0} a second taken, none lost; answered in {:.1} ms (median), {:.1} ms (99 %), \
         {:.1} ms at most; {:.2} ms CPU of the receiver each",
        at(0.5),
        at(0.99),
        at(1.0),
        cpu.as_secs_f64() * 1e3 / all,
    );
    Ok(())
}

fn id(n: usize) -> String {
    format!("6c1f0000-0000-4000-8000-{n:012}")
}

/// Posts one body after another over one connection; says how long each answer took.
fn send<'a>(port: u16, bodies: impl Iterator<Item = &'a String>) -> std::result::Result<Vec<Duration>, String> {
    let trouble = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(trouble)?;
    stream.set_nodelay(true).map_err(trouble)?;
    let mut answers = BufReader::new(stream.try_clone().map_err(trouble)?);
    let mut waits = Vec::new();
    for body in bodies {
        let asked = Instant::now();
        let head = format!("POST /calls HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + body).as_bytes()).map_err(trouble)?;
        let (mut status, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            answers.read_line(&mut line).map_err(trouble)?;
            if status.is_empty() {
                status.clone_from(&line);
            }
            if let Some(bytes) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = bytes.trim().parse().unwrap_or(0);
            }
            if line.trim().is_empty() {
                break;
            }
        }
        answers.read_exact(&mut vec![0; length]).map_err(trouble)?;
        if !status.contains(" 202 ") {
            return Err(format!("answered {status}"));
        }
        waits.push(asked.elapsed());
    }
    Ok(waits)
}
