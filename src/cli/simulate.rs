//! `simulate`: a Graph stand-in on loopback.

use tokio::runtime::Runtime;

use crate::{
    cli::{
        Context,
        exit::{Code, Result},
        signals, to_stdout, usage,
    },
    simulate::{CALL_RECORDS_ROLE, Notifications, Settings, Simulator, USERS_ROLE, Weather},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Port; 0 takes a free one
    #[arg(long, default_value_t = 0, value_name = "N")]
    port: u16,
    /// The same seed gives the same organisation
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// People in the organisation
    #[arg(long, default_value_t = 120, value_name = "N")]
    users: u32,
    /// Calls on a working day
    #[arg(long, default_value_t = 150, value_name = "N")]
    calls_per_day: u32,
    /// Days of calls before now; Graph keeps 30
    #[arg(long, default_value_t = 28, value_name = "N")]
    days: u32,
    /// Days of telephony log rows before now; as many as of calls unless given
    #[arg(long, value_name = "N")]
    log_days: Option<u32>,
    /// Permissions granted, with commas between; an empty list grants none
    #[arg(long, value_name = "LIST", default_value_t = format!("{CALL_RECORDS_ROLE},{USERS_ROLE}"))]
    roles: String,
    /// Share of requests that meet a fault, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "RATE")]
    faults: f64,
    /// Share of notifications never sent, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "RATE")]
    drop_notifications: f64,
    /// Share of notifications sent twice, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "RATE")]
    double_notifications: f64,
    /// Forged notifications for each true one, 0 to 1
    #[arg(long, default_value_t = 0.0, value_name = "RATE")]
    forge_notifications: f64,
    /// Simulated seconds in a real one; at 300 a day takes five minutes
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    clock_rate: u32,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<Code> {
    for (flag, share) in [
        ("--faults", args.faults),
        ("--drop-notifications", args.drop_notifications),
        ("--double-notifications", args.double_notifications),
        ("--forge-notifications", args.forge_notifications),
    ] {
        if !(0.0..=1.0).contains(&share) {
            return Err(usage(format!("{flag}: {share} is not a share between 0 and 1")));
        }
    }
    if args.users == 0 || args.days == 0 {
        return Err(usage("--users and --days must be at least 1"));
    }
    let usual = Notifications::default();
    let settings = Settings {
        port: args.port,
        seed: args.seed,
        users: args.users,
        calls_per_day: args.calls_per_day,
        days: args.days,
        log_days: args.log_days,
        roles: args.roles.split(',').map(str::trim).filter(|role| !role.is_empty()).map(str::to_owned).collect(),
        weather: if args.faults > 0.0 { Weather::faults(args.faults, args.seed) } else { Weather::calm() },
        clock_rate: args.clock_rate,
        notifications: Notifications {
            dropped: args.drop_notifications,
            doubled: args.double_notifications,
            forged: args.forge_notifications,
            // As many tries in a simulated hour as at the clock's own pace.
            retry_pause: usual.retry_pause / args.clock_rate,
            retry_pause_max: usual.retry_pause_max / args.clock_rate,
            ..usual
        },
        ..Settings::default()
    };
    let simulator = Simulator::start(settings)?;
    to_stdout(|out| {
        writeln!(out, "export CALLVAULT_GRAPH_ENDPOINT={url} AZURE_AUTHORITY_HOST={url}", url = simulator.url())?;
        writeln!(
            out,
            "export AZURE_TENANT_ID={} AZURE_CLIENT_ID={} AZURE_CLIENT_SECRET={}",
            simulator.tenant_id(),
            simulator.client_id(),
            simulator.client_secret()
        )
    })?;
    context.note("serving until Ctrl-C; set the variables above in another shell, then: callvault --archive DIR sync");
    Runtime::new()?.block_on(signals::to_stop());
    simulator.stop();
    Ok(Code::Done)
}
