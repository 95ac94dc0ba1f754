//! The subscription that `listen` keeps, alone and beside other receivers.

use std::{fs, process::Command, thread, time::Duration};

use callvault::{
    archive::{Folder, inbox},
    model::time::Age,
    simulate::{LifecycleEvent, Planted},
};

use crate::{
    listening::{BY_NOTIFICATION, Listening, free_port, id, wait_until},
    support::{Bench, ago, empty},
};

#[test]
fn the_subscription_is_renewed_and_made_anew() {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting(id(1), ago(Age::hours(30))));
    let listening = Listening::start(&bench, "--interval 1s");
    let end = || bench.simulator.subscriptions().iter().map(|kept| kept.expiry).max();
    let first = (listening.kept(), end());

    // Ends are told in whole seconds.
    thread::sleep(Duration::from_millis(1500));
    bench.simulator.send_lifecycle(LifecycleEvent::ReauthorizationRequired);
    wait_until("it is renewed when Graph asks", || end() > first.1);
    assert_eq!(listening.kept(), first.0);
    let second = end();
    bench.simulator.advance(Age::hours(40));
    wait_until("it is renewed long before its end", || end() > second.map(|end| end + Age::hours(30)));
    assert_eq!(listening.kept(), first.0);

    // Without a word, and with one.
    for event in [None, Some(LifecycleEvent::SubscriptionRemoved)] {
        let kept = listening.kept();
        assert!(bench.simulator.remove_subscription(&kept[0], event));
        wait_until("another one", || listening.kept().len() == 1 && listening.kept() != kept);
    }
    // What Graph asked for is done: else the subscription would be looked at again and again for days.
    let folder = Folder::new(&bench.archive());
    let asked = || {
        let inbox = inbox::Inbox::open_existing(&folder).unwrap().unwrap();
        inbox.instant(inbox::Instant::Reauthorize).unwrap()
    };
    wait_until("nothing is asked for any more", || asked().is_none());
    bench.run("listen --unsubscribe").ends_with(5).telling("receiver");
    assert_eq!(bench.simulator.subscriptions().len(), 1);
    listening.stops(0);
    // A stop leaves it: what comes meanwhile is sent again for hours.
    assert_eq!(bench.simulator.subscriptions().len(), 1);
    bench.run("listen --unsubscribe").ends_with(0).text().contains("1 subscriptions ended");
    assert_eq!(bench.simulator.subscriptions().len(), 0);
}

#[test]
fn receivers_do_not_fight() {
    let (bench, port) = (Bench::new(empty()), free_port());
    bench.simulator.plant(Planted::meeting(id(1), ago(Age::hours(30))));
    let listening = Listening::start(&bench, BY_NOTIFICATION);
    let kept = listening.kept();
    // Of the same archive.
    bench
        .run(&format!("listen --bind 127.0.0.1:{port} --public-url http://localhost:{port}/"))
        .ends_with(5)
        .telling("receiver");
    // Of the same app with an archive of its own.
    let other = Listening::of(&bench, port, elsewhere(&bench, port, port));
    wait_until("word of the other", || other.said("err").contains("another receiver has a subscription"));
    thread::sleep(Duration::from_secs(2));
    assert_eq!((listening.kept(), other.kept().len()), (kept, 0));
    other.stops(0);
    listening.stops(0);
}

/// A receiver of the same app with an archive of its own, which listens on one port and is reached at another.
fn elsewhere(bench: &Bench, port: u16, reached: u16) -> Command {
    let typed = bench.program();
    let mut other = Command::new(typed.get_program());
    other.env_clear().envs(typed.get_envs().filter_map(|(name, value)| Some((name, value?))));
    other.arg("--archive").arg(bench.beside("other")).arg("--config").arg(bench.beside("config.toml"));
    other.args(["listen", "--interval", "1s", "--bind", &format!("127.0.0.1:{port}")]);
    other.args(["--public-url", &format!("http://localhost:{reached}/calls")]);
    other
}

#[test]
fn receivers_behind_one_address_share_a_secret() {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting(id(1), ago(Age::hours(30))));
    let config = format!("{}[listen]\nclient_state = \"known to both\"\n", crate::support::CONFIG);
    fs::write(bench.beside("config.toml"), config).unwrap();
    // A secret is in it.
    fs::set_permissions(bench.beside("config.toml"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let listening = Listening::start(&bench, "--interval 1s");
    let (kept, port) = (listening.kept(), free_port());
    let other = Listening::of(&bench, port, elsewhere(&bench, port, listening.port));
    let knows = |folder: std::path::PathBuf| {
        inbox::facts(&Folder::new(&folder)).unwrap().is_some_and(|facts| facts.expires.is_some())
    };
    wait_until("both keep it", || knows(bench.beside("other")) && knows(bench.archive()));
    thread::sleep(Duration::from_secs(3));
    assert_eq!(listening.kept(), kept, "it is the one that the first made");
    other.stops(0);
    listening.stops(0);
}

#[test]
fn receivers_behind_one_address_without_a_secret_in_common_come_to_rest() {
    let bench = Bench::new(empty());
    bench.simulator.plant(Planted::meeting(id(1), ago(Age::hours(30))));
    let listening = Listening::start(&bench, "--interval 1s");
    let port = free_port();
    let other = Listening::of(&bench, port, elsewhere(&bench, port, listening.port));
    wait_until("one gives way", || {
        [&listening, &other].iter().any(|one| one.said("err").contains("give all receivers behind it one secret"))
    });
    let kept = listening.kept();
    thread::sleep(Duration::from_secs(3));
    assert_eq!((listening.kept(), kept.len()), (kept, 1));
    other.stops(0);
    listening.stops(0);
}
