//! A defect of ours that one record brings out: it costs that record and no other.

use std::{path::Path, sync::Arc};

use callvault::{
    archive::{Archive, Folder},
    graph::{
        self,
        transport::{Service, Transport},
    },
    model::{
        id::RecordKey,
        kind::Kind,
        time::{Age, Timestamp},
    },
    simulate::{Planted, Settings, Simulator},
    sync::round::Summary,
};

use crate::{
    play::{self, scratch},
    wire::Wire,
};

/// One round in which whatever is asked of the record `poison` panics.
async fn round(wire: &Arc<Wire>, folder: &Path, poison: &'static str) -> Summary {
    let Transport::InProcess(through) = wire.transport() else { unreachable!() };
    let service: Service = Arc::new(move |asked| {
        assert!(!asked.url.path().contains(poison), "{poison} is more than we can take");
        through(asked)
    });
    let graph =
        graph::Settings { transport: Transport::InProcess(service), ..play::client(wire, wire.simulator.now()) };
    play::calm_round(wire, &Folder::new(folder), graph).await
}

#[tokio::test(start_paused = true)]
async fn a_record_that_makes_us_panic_is_named_and_stops_no_other() {
    let start = Timestamp::parse("2026-11-20T12:00:00Z").unwrap();
    let simulator =
        Simulator::in_process(Settings { calls_per_day: 0, start_clock: Some(start), ..Settings::default() });
    for (n, id) in ["a", "poison", "z"].into_iter().enumerate() {
        let begun = start - Age::days(3) + Age::hours(i64::try_from(n).unwrap());
        simulator.plant(Planted::meeting(id, begun));
    }
    let (wire, folder) = (Wire::new(simulator, 1), scratch());
    let report = round(&wire, folder.path(), "poison").await.sources.remove(0);
    assert_eq!((report.fetched, report.failed, report.stopped), (2, 1, false));

    let archive = Archive::open(&Folder::new(folder.path())).unwrap();
    assert!(!archive.versions(&RecordKey::call("z")).unwrap().is_empty());
    let todo = archive.todo_after(Kind::Call, &(Timestamp(i64::MIN), None), 9).unwrap();
    let [poison] = &todo[..] else { panic!("{todo:?}") };
    assert_eq!((&*poison.key.id, poison.attempts), ("poison", 1));
    assert!(poison.last_error.as_ref().unwrap().contains("poison is more than we can take"), "{poison:?}");
    drop(archive);

    let report = round(&wire, folder.path(), "nothing").await.sources.remove(0);
    assert_eq!((report.fetched, report.failed), (1, 0));
}
