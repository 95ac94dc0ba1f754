//! A record is given out whole and of one version, or not at all.

use std::fmt::Write;
use std::time::Duration;

use crate::{
    graph::{
        Error, Whole,
        budget::Allowance,
        tests::stand_in::{RECORDS, Reply, StandIn},
    },
    model::{document::What, event::Wait, id::Version, raw},
};

const ID: &str = "e523d2ed-2966-4b6b-925b-754a88034cc5";
const EXPANDED: &str = "?$expand=sessions($expand=segments)";
const HEADER: &str = "?$select=id,version";

/// A record's parts as a server would cut them.
struct Record {
    server: StandIn,
}

impl Record {
    async fn start() -> Self {
        Self { server: StandIn::start().await }
    }

    fn at(&self, rest: &str, replies: impl IntoIterator<Item = Reply>) {
        self.server.records(&format!("/{ID}{rest}"), replies);
    }

    async fn whole(&self, known: i64) -> Result<Whole, Error> {
        self.server.client().whole(ID, Some(Version(known))).await
    }

    /// What was asked, below the record.
    fn asked(&self) -> Vec<String> {
        let below = format!("/{ID}");
        self.server.asked().iter().map(|asked| asked.strip_prefix(&below).unwrap().to_owned()).collect()
    }
}

fn items(name: &str, range: std::ops::Range<usize>) -> String {
    range.fold(String::new(), |mut text, n| {
        let comma = if text.is_empty() { "" } else { "," };
        write!(text, r#"{comma}{{"id":"{name}{n}"}}"#).unwrap();
        text
    })
}

fn link(member: &str, rest: Option<&str>) -> String {
    let rest = rest.map(|rest| if rest.contains("//") { rest.to_owned() } else { format!("HOME{RECORDS}/{ID}{rest}") });
    rest.map(|link| format!(r#","{member}":"{link}""#)).unwrap_or_default()
}

fn record(version: i64, sessions: std::ops::Range<usize>, next: Option<&str>) -> Reply {
    let next = link("sessions@odata.nextLink", next);
    Reply::ok(format!(r#"{{"id":"{ID}","version":{version},"x":1e-7,"sessions":[{}]{next}}}"#, items("s", sessions)))
}

fn page(name: &str, range: std::ops::Range<usize>, next: Option<&str>) -> Reply {
    let next = link("@odata.nextLink", next);
    Reply::ok(format!(r#"{{"value":[{}]{next}}}"#, items(name, range)))
}

fn header(version: i64) -> Reply {
    Reply::ok(format!(r#"{{"id":"{ID}","version":{version}}}"#))
}

/// How many elements the assembled document holds.
fn elements(whole: &Whole, member: &str) -> usize {
    let text = whole.document.assemble().unwrap();
    raw::elements(raw::value(&raw::members(&text).unwrap(), member).unwrap()).unwrap().len()
}

fn whats(whole: &Whole) -> Vec<What> {
    whole.document.parts.iter().map(|part| part.what).collect()
}

#[tokio::test]
async fn a_small_record_takes_two_requests() {
    let call = Record::start().await;
    call.at("/participants_v2", [page("p", 0..2, None)]);
    call.at(EXPANDED, [record(2, 0..1, None)]);
    let whole = call.whole(2).await.unwrap();
    assert_eq!(call.asked(), ["/participants_v2", EXPANDED]);
    assert_eq!(whats(&whole), [What::Participants, What::Record]);
    assert_eq!((whole.document.version, whole.unfollowed), (Version(2), 0));
    assert_eq!(whole.document.key.id, ID);
    assert_eq!(
        whole.document.assemble().unwrap(),
        format!(
            r#"{{"id":"{ID}","version":2,"x":1e-7,"sessions":[{{"id":"s0"}}],"participants_v2":[{{"id":"p0"}},{{"id":"p1"}}]}}"#
        )
    );
    let part = &whole.document.parts[1];
    assert_eq!(part.url, format!("{}{RECORDS}/{ID}{EXPANDED}", call.server.home));
    assert_eq!(part.request_id.as_deref(), Some("h-200"));
}

#[tokio::test]
async fn a_record_of_61_sessions_and_131_participants_is_whole() {
    let call = Record::start().await;
    call.at("/participants_v2", [page("p", 0..130, Some("/participants_v2?$skiptoken=p"))]);
    call.at("/participants_v2?$skiptoken=p", [page("p", 130..131, None)]);
    call.at(EXPANDED, [record(1, 0..60, Some("/sessions?$expand=segments&$skiptoken=s"))]);
    call.at("/sessions?$expand=segments&$skiptoken=s", [page("s", 60..60, Some("/sessions?$skiptoken=t"))]);
    call.at("/sessions?$skiptoken=t", [page("s", 60..61, None)]);
    call.at(HEADER, [header(1)]);
    let client = call.server.client();
    let whole = tokio::spawn(async move { client.whole(ID, Some(Version(1))).await }).await.unwrap().unwrap();
    assert_eq!((elements(&whole, "sessions"), elements(&whole, "participants_v2")), (61, 131));
    assert_eq!(whats(&whole), [What::Participants, What::Participants, What::Record, What::Sessions, What::Sessions]);
}

#[tokio::test]
async fn without_a_known_version_the_record_is_asked_for_it_first() {
    let call = Record::start().await;
    call.at(HEADER, [header(3)]);
    call.at("/participants_v2", [page("p", 0..1, None)]);
    call.at(EXPANDED, [record(3, 0..1, None)]);
    let whole = call.server.client().whole(ID, None).await.unwrap();
    assert_eq!(whole.document.version, Version(3));
    assert_eq!(call.asked(), [HEADER, "/participants_v2", EXPANDED]);
}

#[tokio::test]
async fn a_nested_link_that_cannot_be_followed_leads_to_the_sessions_themselves() {
    let loops = "/sessions?$skiptoken=loop";
    for dead in [
        "HOME/v1.0/$metadata#communications/callRecords('x')/sessions?$skiptoken=abc",
        "https://elsewhere.example/v1.0/x",
        "/sessions?$expand=segments&$skiptoken=malformed",
        EXPANDED,
        loops,
    ] {
        let call = Record::start().await;
        call.at("/participants_v2", [page("p", 0..1, None)]);
        call.at(EXPANDED, [record(1, 0..60, Some(dead))]);
        call.at("/sessions?$expand=segments&$skiptoken=malformed", [Reply::refusal(400, "BadRequest")]);
        call.at(loops, [page("s", 60..61, Some(loops))]);
        call.at("/sessions?$expand=segments", [page("s", 0..60, Some("/sessions?$skiptoken=2"))]);
        call.at("/sessions?$skiptoken=2", [page("s", 60..61, None)]);
        call.at(HEADER, [header(1)]);
        let whole = call.whole(1).await.unwrap();
        assert_eq!(elements(&whole, "sessions"), 61, "{dead}");
        assert_eq!(whats(&whole), [What::Participants, What::Record, What::Sessions, What::Sessions], "{dead}");
    }
}

#[tokio::test]
async fn a_record_of_which_no_way_leads_to_the_rest_is_not_given_out() {
    let call = Record::start().await;
    call.at("/participants_v2", [page("p", 0..1, None)]);
    call.at(EXPANDED, [record(1, 0..60, Some("https://elsewhere.example/x"))]);
    call.at("/sessions?$expand=segments", [page("s", 0..60, Some("/sessions?$expand=segments"))]);
    assert!(matches!(call.whole(1).await, Err(Error::LinkRefused { .. })));
}

#[tokio::test]
async fn refused_participants_are_had_by_expanding() {
    for status in [400, 403, 404, 405, 501] {
        let call = Record::start().await;
        call.at("/participants_v2", [Reply::refusal(status, "NotHere")]);
        call.at(EXPANDED, [record(1, 0..1, None)]);
        let next = link("participants_v2@odata.nextLink", Some("/participants_v2?$skiptoken=p"));
        let expanded = format!(r#"{{"id":"{ID}","version":1,"participants_v2":[{}]{next}}}"#, items("p", 0..130));
        call.at("?$expand=participants_v2", [Reply::ok(expanded)]);
        call.at("/participants_v2?$skiptoken=p", [page("p", 130..131, None)]);
        call.at(HEADER, [header(1)]);
        let whole = call.whole(1).await.unwrap();
        assert_eq!(elements(&whole, "participants_v2"), 131, "{status}");
        assert_eq!(whats(&whole), [What::Record, What::ParticipantsExpanded, What::Participants]);
    }
}

#[tokio::test]
async fn a_record_that_is_gone_or_forbidden_is_told_as_such() {
    let call = Record::start().await;
    for (status, is) in [(404, "does not have"), (403, "CallRecords.Read.All")] {
        call.at("/participants_v2", [Reply::refusal(status, "NotHere")]);
        call.at(EXPANDED, [Reply::refusal(status, "NotHere")]);
        let error = call.whole(1).await.unwrap_err();
        assert!(error.to_string().contains(is), "{error}");
        assert!(matches!(error, Error::NotFound { .. } | Error::Forbidden { .. }));
    }
}

#[tokio::test]
async fn a_page_that_is_gone_is_not_a_record_that_is_gone() {
    let call = Record::start().await;
    call.at("/participants_v2", [Reply::refusal(404, "NotHere")]);
    call.at(EXPANDED, [record(1, 0..1, None)]);
    call.at("?$expand=participants_v2", [Reply::refusal(404, "NotHere")]);
    let error = call.whole(1).await.unwrap_err();
    assert!(matches!(error, Error::Status { status: 404, .. }), "{error}");
}

#[tokio::test]
async fn a_version_that_changes_between_pages_starts_the_record_over() {
    let call = Record::start().await;
    call.at("/participants_v2", [page("p", 0..1, None), page("p", 0..2, None)]);
    call.at(
        EXPANDED,
        [record(1, 0..60, Some("/sessions?$skiptoken=1")), record(2, 0..60, Some("/sessions?$skiptoken=2"))],
    );
    call.at("/sessions?$skiptoken=1", [page("s", 60..61, None)]);
    call.at("/sessions?$skiptoken=2", [page("s", 60..62, None)]);
    call.at(HEADER, [header(2)]);
    let whole = call.whole(1).await.unwrap();
    assert_eq!(whole.document.version, Version(2));
    assert_eq!((elements(&whole, "sessions"), elements(&whole, "participants_v2")), (62, 2));
    assert_eq!(whole.document.parts.len(), 3);
}

#[tokio::test]
async fn a_record_that_grew_since_the_list_has_its_participants_read_again() {
    let call = Record::start().await;
    call.at("/participants_v2", [page("p", 0..1, None), page("p", 0..2, None)]);
    call.at(EXPANDED, [record(2, 0..1, None)]);
    let whole = call.whole(1).await.unwrap();
    assert_eq!(call.asked(), ["/participants_v2", EXPANDED, "/participants_v2", EXPANDED]);
    assert_eq!((whole.document.version, elements(&whole, "participants_v2")), (Version(2), 2));
}

#[tokio::test]
async fn a_record_that_never_rests_is_left_for_later() {
    let call = Record::start().await;
    call.at("/participants_v2", [page("p", 0..1, None)]);
    call.at(EXPANDED, (2..9).map(|version| record(version, 0..1, None)));
    assert!(matches!(call.whole(1).await, Err(Error::Changing { version: Version(4), .. })));
}

#[tokio::test]
async fn a_replica_that_lags_is_waited_for_and_never_believed() {
    let call = Record::start().await;
    call.at("/participants_v2", [page("p", 0..1, None), page("p", 0..2, None)]);
    call.at(EXPANDED, [record(1, 0..1, None), record(2, 0..2, None)]);
    let whole = call.whole(2).await.unwrap();
    assert_eq!((whole.document.version, elements(&whole, "sessions")), (Version(2), 2));
    assert_eq!(elements(&whole, "participants_v2"), 2, "they may have come from the same replica");
    assert_eq!(whole.document.parts.len(), 2);
    assert_eq!(call.server.waits()[0].0, Wait::Failed);

    call.at(EXPANDED, [record(1, 0..1, None)]);
    let error = call.whole(2).await.unwrap_err();
    assert!(matches!(error, Error::Stale { wanted: Version(2), got: Version(1), .. }), "{error}");
}

#[tokio::test]
async fn a_records_own_budget_is_kept_and_its_waits_are_reported() {
    let call = Record::start().await;
    call.at("/participants_v2", [page("p", 0..1, None)]);
    call.at(EXPANDED, [record(1, 0..60, Some("/sessions?page=0"))]);
    for n in 0..5 {
        let next = (n < 4).then(|| format!("/sessions?page={}", n + 1));
        call.at(&format!("/sessions?page={n}"), [page("s", n..n + 1, next.as_deref())]);
    }
    call.at(HEADER, [header(1)]);
    let mut settings = call.server.settings();
    settings.rates.record_following = Allowance { requests: 2, window: Duration::from_millis(300) };
    call.server.client_with(settings).whole(ID, Some(Version(1))).await.unwrap();
    let seen = call.server.seen();
    let times: Vec<_> = seen.iter().filter(|seen| seen.line.contains("page=")).map(|seen| seen.at).collect();
    assert_eq!(times.len(), 5);
    assert!(times.windows(3).all(|three| three[2] - three[0] >= Duration::from_millis(300)));
    assert_eq!(call.server.waits().iter().filter(|(why, ..)| *why == Wait::RecordBudget).count(), 2);
}

#[tokio::test]
async fn another_records_answer_is_refused() {
    let call = Record::start().await;
    call.at("/participants_v2", [page("p", 0..1, None)]);
    call.at(EXPANDED, [Reply::ok(r#"{"id":"other","version":1,"sessions":[]}"#)]);
    assert!(matches!(call.whole(1).await, Err(Error::OtherRecord { got, .. }) if got == "other"));
}

#[tokio::test]
async fn a_record_without_the_sessions_asked_for_is_not_given_out() {
    let call = Record::start().await;
    call.at("/participants_v2", [page("p", 0..1, None)]);
    call.at(EXPANDED, [header(1)]);
    let error = call.whole(1).await.unwrap_err();
    assert!(error.to_string().contains("no sessions, though asked for"), "{error}");
}

#[tokio::test]
async fn long_pages_come_through_byte_for_byte() {
    let call = Record::start().await;
    call.at("/participants_v2", [page("p", 0..1, None)]);
    let body = format!(
        "{{ \"id\" : \"{ID}\", \"version\":1,\"sessions\":[],\r\n\"pad\":\"{}\"}} \n",
        "é\\u00e9".repeat(60_000)
    );
    call.at(EXPANDED, [Reply::ok(body.clone())]);
    let whole = call.whole(1).await.unwrap();
    assert_eq!(whole.document.parts[1].body, body.as_bytes());
}

#[tokio::test]
async fn an_id_cannot_reach_out_of_its_place() {
    let server = StandIn::start().await;
    server.client().whole("../users?x=#y z", Some(Version(1))).await.unwrap_err();
    assert!(server.asked().iter().all(|asked| asked.starts_with("/..%2Fusers%3Fx%3D%23y%20z")), "{:?}", server.asked());
}
