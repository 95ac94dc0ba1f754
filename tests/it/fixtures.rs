//! Bodies of the shapes that Graph's documentation shows: they leave out half of what they could have, name people in the old
//! way, and go through the whole chain all the same.

use callvault::{
    model::time::{Age, Timestamp},
    simulate::Planted,
};

use crate::support::{Bench, ago, empty};

const ABBIE: &str = "5d9c2a11-0000-0000-0000-3b5136c0e777";
const OWEN: &str = "5d9c2a12-0000-0000-0000-185e5f5f5d8a";

/// Two Skype for Business clients, named by `associatedIdentity` alone; segments with hardly anything in them.
fn skype_session() -> String {
    format!(
        r##"{{"modalities":["audio"],"startDateTime":"2026-02-25T18:52:21.2169889Z","endDateTime":"2026-02-25T18:52:46.7640013Z","id":"skype","isTest":false,
"caller":{{"@odata.type":"#microsoft.graph.callRecords.participantEndpoint","name":"machineName_2","userAgent":{{"@odata.type":"#microsoft.graph.callRecords.clientUserAgent","headerValue":"RTCC/7.0.0.0 UCWA/7.0.0.0 AndroidLync/6.25.0.27 (SM-G930U Android 8.0.0)","platform":"android","productFamily":"skypeForBusiness"}},"associatedIdentity":{{"id":"{ABBIE}","displayName":"Abbie Wilkins","tenantId":"dc368399-474c-4d40-900c-6265431fd81f","userPrincipalName":"abbie.wilkins@contoso.com"}}}},
"callee":{{"@odata.type":"#microsoft.graph.callRecords.participantEndpoint","name":"machineName_4","userAgent":{{"@odata.type":"#microsoft.graph.callRecords.clientUserAgent","headerValue":"UCCAPI/16.0.12527.20122 OC/16.0.12527.20194 (Skype for Business)","platform":"windows","productFamily":"skypeForBusiness"}},"associatedIdentity":{{"id":"{OWEN}","displayName":"Owen Franklin","tenantId":"dc368399-474c-4d40-900c-6265431fd81f","userPrincipalName":"owen.franklin@contoso.com"}},"feedback":{{"rating":"poor"}}}},
"segments":[{{"startDateTime":"2026-02-25T18:52:21.2169889Z","endDateTime":"2026-02-25T18:52:46.7640013Z","id":"skype","media":[{{"label":"main-audio","callerNetwork":{{"ipAddress":"10.150.0.2","subnet":"10.150.0.0","linkSpeed":54000000}},"callerDevice":{{"captureDeviceName":"Default input device","receivedSignalLevel":-10}},"streams":[{{"streamId":"1504545584","streamDirection":"callerToCallee","averageAudioDegradation":null,"averageJitter":"PT0.016S"}}]}}]}}]}}"##
    )
}

/// The older `identity` of an endpoint, link speed of 32 bits all set, feedback with tokens.
fn identity_session() -> String {
    format!(
        r##"{{"id":"old","modalities":["audio"],"isTest":false,"caller":{{"@odata.type":"#microsoft.graph.callRecords.participantEndpoint","name":"machineName_1","cpuName":"AMD EPYC 7452 32-Core Processor","cpuCoresCount":8,"identity":{{"@odata.type":"#microsoft.graph.identitySet","user":{{"id":"{ABBIE}","displayName":"Abbie Wilkins"}}}}}},"callee":{{"identity":{{"user":{{"id":"{OWEN}","displayName":"Owen Franklin"}}}},"feedback":{{"rating":"poor","tokens":{{"NoSound":false,"Noisy":true}}}}}},"segments":[{{"id":"old","caller":null,"media":[{{"label":"main-audio","calleeNetwork":{{"linkSpeed":4294967295,"connectionType":"wired","macAddress":"00-00-00-00-00-00-00-00"}},"streams":[]}}]}}]}}"##
    )
}

const PARTICIPANT_V2: &str = r##"{"id":"00005994-851d-4988-bbc3-413bbf089e13","identity":{"acsUser":null,"spoolUser":null,"phone":null,"guest":null,"encrypted":null,"onPremises":null,"device":null,"user":{"@odata.type":"#microsoft.graph.userIdentity","id":"00005994-851d-4988-bbc3-413bbf089e13","displayName":"Anette Thomsen","tenantId":"dc368399-474c-4d40-900c-6265431fd81f","userPrincipalName":"anette.thomsen@contoso.com"}}}"##;

/// The chain: sync, query, show, export, verify, reindex. Returns the archived JSON.
fn through_the_chain(call: Planted) -> (Bench, String) {
    let bench = Bench::new(empty());
    let id = call.id.clone();
    bench.simulator.plant(call);
    bench.sync();
    let raw = bench.raw(&id);
    assert_eq!(bench.run("query --format json").ends_with(0).json()[0]["id"], id.as_str());
    for line in ["query", "query --format csv", "query --format ndjson", "export --format csv", "status"] {
        assert!(!bench.run(line).ends_with(0).stdout.is_empty(), "{line}");
    }
    assert!(bench.run(&format!("show {id}")).ends_with(0).text().contains(&id));
    assert_eq!(bench.run("export --format ndjson").ends_with(0).line(), raw);
    bench.run("reindex").ends_with(0);
    bench.run("verify").ends_with(0);
    (bench, raw)
}

fn planted(id: &str) -> Planted {
    let mut call = Planted::meeting(id, ago(Age::hours(40)));
    "peerToPeer".clone_into(&mut call.call_type);
    call
}

fn count(bench: &Bench, args: &[&str]) -> String {
    let args: Vec<_> = ["query", "--count"].iter().chain(args).copied().collect();
    bench.args(&args).ends_with(0).line()
}

#[test]
fn a_skype_for_business_call_without_participants_v2_passes_the_whole_chain() {
    let session = skype_session();
    let (bench, raw) =
        through_the_chain(planted("skype-call").raw_sessions([session.clone()]).raw_participants::<&str>([]));
    assert!(raw.contains(&session.replace('\n', "")));
    for who in [ABBIE, OWEN, "owen.franklin@contoso.com", "Abbie Wilkins"] {
        assert_eq!(count(&bench, &["--participant", who]), "1", "{who}");
    }
    assert_eq!(count(&bench, &["agent:AndroidLync"]), "1");
    assert!(bench.run("show skype-call").text().contains("Owen Franklin"));
}

#[test]
fn a_call_that_names_people_in_the_old_way_passes_the_whole_chain() {
    let members = format!(
        r#""organizer":{{"user":{{"id":"{ABBIE}","displayName":"Abbie Wilkins","tenantId":"dc368399-474c-4d40-900c-6265431fd81f"}}}},"participants":[{{"user":{{"id":"{OWEN}","displayName":"Owen Franklin"}}}}]"#
    );
    let mut call =
        planted("old-names").extra_members(&members).raw_sessions([identity_session()]).raw_participants::<&str>([]);
    call.organizer = "null".to_owned();
    let (bench, raw) = through_the_chain(call);
    assert!(raw.contains(&members));
    for who in [ABBIE, OWEN, "abbie wilkins"] {
        assert_eq!(count(&bench, &["--participant", who]), "1", "{who}");
    }
    assert_eq!(count(&bench, &["--organizer", ABBIE]), "1");
}

#[test]
fn a_phone_as_organizer_passes_the_whole_chain() {
    let mut call = planted("from-a-phone").raw_participants([PARTICIPANT_V2]);
    call.call_type = "unknown".to_owned();
    call.organizer =
        r#"{"id":"+5564981205182","identity":{"user":null,"acsUser":null,"spoolUser":null,"phone":{"id":"+5564981205182","displayName":null,"tenantId":null}}}"#
            .to_owned();
    let (bench, _) = through_the_chain(call);
    assert_eq!(count(&bench, &["--organizer", "+55 64 98120-5182"]), "1");
    assert_eq!(count(&bench, &["--participant", "anette.thomsen@contoso.com"]), "1");
}

#[test]
fn participants_and_sessions_of_one_member_or_none_pass_the_whole_chain() {
    let call = planted("bare")
        .raw_sessions([
            "{}",
            r#"{"id":null}"#,
            r#"{"id":"s","segments":null,"caller":null,"callee":{}}"#,
            r#"{"id":"t","segments":[{},{"media":[{},{"streams":[{}]}]}]}"#,
        ])
        .raw_participants([
            "{}",
            r#"{"id":"p"}"#,
            r#"{"id":"q","identity":null}"#,
            r#"{"id":"r","identity":{"user":{}}}"#,
        ]);
    let (_, raw) = through_the_chain(call);
    assert!(raw.contains(r#"[{},{"id":null},"#) && raw.contains(r#"[{},{"id":"p"},"#), "{raw}");
}

#[test]
fn members_of_another_type_than_documented_pass_the_whole_chain() {
    let call = planted("other-types")
        .raw_sessions([r#"{"id":7,"startDateTime":"not a time","endDateTime":5,"modalities":"audio","failureInfo":"broken","caller":[1],"segments":[{"media":{"label":1},"startDateTime":"0001-01-01T00:00:00Z"},3]}"#])
        .raw_participants([r#"{"id":{"a":1},"identity":"somebody"}"#]);
    let (_, raw) = through_the_chain(call);
    assert!(raw.contains(r#""caller":[1]"#));
}

#[test]
fn a_call_from_the_year_one_to_the_year_9999_passes_the_whole_chain() {
    let session = r#"{"id":"s","startDateTime":"0001-01-01T00:00:00Z","endDateTime":"9999-12-31T23:59:59.9999999Z","segments":[]}"#;
    let mut call = planted("long").raw_sessions([session]);
    call.end = Timestamp::parse("2262-01-01T00:00:00Z").unwrap();
    through_the_chain(call.visible_at(ago(Age::hours(20))));
}
