//! Makes `src/archive/base.dict` anew from simulated call records, so that the dictionary holds no real person:
//! `cargo test --release --test dictionary -- --ignored`. What came of it, and when to do so: docs/decisions/0007-dictionary.md.
//! Archives keep the dictionary that they were made with, so a new one needs a new id.

#![expect(clippy::unwrap_used, reason = "a test's helpers fail with it")]

use std::{collections::HashSet, io::Write, path::Path, sync::Arc, time::Duration};

use callvault::{
    archive::frame::{Dictionary, FrameReader, FrameWriter},
    graph::{Client, Cloud, Credential, Settings, budget::Allowance, cloud::parse_host},
    model::{
        document::{Document, Part, What},
        scrub::Survey,
        time::Timestamp,
    },
    simulate::{self, Limits, PageSizes, Simulator},
};
use secrecy::SecretString;
use tokio::runtime::Runtime;

/// Of the ids that are free for all (32,768 and up), one that takes two bytes in every frame and not four.
const DICTIONARY_ID: u32 = 0xca11;
const DICTIONARY_BYTES: usize = 112 * 1024;
/// Many small organisations rather than a large one: what they share is Graph's, not somebody's.
const ORGANISATIONS: u64 = 24;
const CALLS_PER_DAY: u32 = 12;
/// Larger frames have enough in themselves to refer to.
const SAMPLE_BYTES_MAX: usize = 128 * 1024;
const GRAPH: &str = "https://graph.microsoft.com";
/// 2026-11-02T12:00:00Z
const NOW: Timestamp = Timestamp(1_793_620_800_000_000_000);

#[test]
#[ignore = "makes src/archive/base.dict anew"]
fn the_dictionary_is_made_of_simulated_records() {
    let samples: Vec<Vec<u8>> = (1..=ORGANISATIONS).flat_map(organisation).collect();
    println!("{} samples, {} bytes", samples.len(), samples.iter().map(Vec::len).sum::<usize>());
    let mut dictionary = zstd::dict::from_samples(&samples, DICTIONARY_BYTES).unwrap();
    dictionary[4..8].copy_from_slice(&DICTIONARY_ID.to_le_bytes());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/archive/base.dict");
    let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap()).unwrap();
    file.write_all(&dictionary).unwrap();
    file.persist(path).unwrap();
}

#[test]
fn frames_made_with_the_dictionary_are_read_back_and_smaller() {
    let dictionary = Dictionary::new(include_bytes!("../src/archive/base.dict").to_vec()).unwrap();
    assert_eq!(dictionary.id, i64::from(DICTIONARY_ID));
    let session = r#"{"id":"9f3c","modalities":["audio"],"caller":{"@odata.type":"microsoft.graph.callRecords.participantEndpoint"}}"#;
    let body = format!(r#"{{"version":1,"type":"peerToPeer","sessions":[{session}],"joinWebUrl":null}}"#);
    let url = format!("{GRAPH}/v1.0/communications/callRecords/x?$expand=sessions($expand=segments)");
    let parts = vec![Part::new(What::Record, url, None, NOW, body.into())];
    let with = FrameWriter::new(Some(&dictionary)).unwrap().write(&parts).unwrap();
    let without = FrameWriter::new(None).unwrap().write(&parts).unwrap();
    assert_eq!(with.dictionary_id, Some(dictionary.id));
    assert!(with.bytes.len() < without.bytes.len(), "{} and {} bytes", with.bytes.len(), without.bytes.len());
    assert_eq!(FrameReader::new(Some(&dictionary)).unwrap().read(&with.bytes).unwrap().0, parts);
    assert!(FrameReader::new(None).unwrap().read(&with.bytes).is_err(), "a frame says which dictionary it needs");
}

#[test]
fn a_dictionary_of_scrubbed_records_holds_no_text_that_names_somebody() {
    let samples = organisation(7);
    let mut survey = Survey::default();
    for sample in &samples {
        survey.look(sample);
    }
    let mut scrubber = survey.scrubber();
    let mut telling = HashSet::new();
    let scrubbed = samples.iter().map(|sample| {
        scrubber.telling(sample, &mut telling);
        let mut scrubbed = Vec::with_capacity(sample.len());
        scrubber.append(sample, &mut scrubbed);
        scrubbed
    });
    let scrubbed: Vec<_> = scrubbed.collect();
    let dictionary = zstd::dict::from_samples(&scrubbed, 32 * 1024).unwrap();
    let held = |text: &[u8]| memchr::memmem::find(&dictionary, text).is_some();
    assert!(held(b"\"userPrincipalName\":\""), "the shape of records stays");
    assert!(telling.len() > samples.len());
    // A word in lower case may be one of Graph's as well.
    for text in telling.iter().filter(|text| text.len() >= 5 && !text.iter().all(u8::is_ascii_lowercase)) {
        assert!(!held(text), "{}", String::from_utf8_lossy(text));
    }
}

/// What the frames of one organisation hold, uncompressed, as the client brings them.
fn organisation(seed: u64) -> Vec<Vec<u8>> {
    let simulator = Simulator::start(simulate::Settings {
        seed,
        users: 60,
        calls_per_day: CALLS_PER_DAY,
        days: 5,
        start_clock: Some(NOW),
        limits: Limits::scaled(1000),
        page_sizes: PageSizes::default(),
        ..simulate::Settings::default()
    });
    let simulator = simulator.unwrap();
    let (runtime, client) = (Runtime::new().unwrap(), client(&simulator));
    let mut frames = FrameWriter::new(None).unwrap();
    let calls = simulator.world().expected(simulator.now());
    let whole = |id: &str| runtime.block_on(client.whole(id, None)).unwrap().document;
    let contents = calls.iter().map(|call| {
        let document = as_if_from_graph(whole(&call.id), &simulator.url());
        let frame = frames.write(&document.parts).unwrap();
        zstd::bulk::decompress(&frame.bytes, 64 << 20).unwrap()
    });
    contents.filter(|content| content.len() <= SAMPLE_BYTES_MAX).collect()
}

fn client(simulator: &Simulator) -> Client {
    let secret = Credential::Secret(SecretString::from(simulator.client_secret().to_owned()));
    let mut settings = Settings::new(Cloud::Global, secret).unwrap();
    settings.tenant_id = Some(simulator.tenant_id().to_owned());
    settings.client_id = Some(simulator.client_id().to_owned());
    settings.login_host = parse_host(&simulator.url()).unwrap();
    settings.graph_host = parse_host(&simulator.url()).unwrap();
    settings.rates.app = Allowance { requests: 100_000, window: Duration::from_secs(20) };
    Client::new(settings, Arc::new(())).unwrap()
}

/// Puts Graph's address in the place of the simulator's, which differs from run to run, as does the time.
fn as_if_from_graph(mut document: Document, simulator: &str) -> Document {
    let part = |part: Part| {
        let body = String::from_utf8(part.body).unwrap().replace(simulator, GRAPH);
        Part::new(part.what, part.url.replace(simulator, GRAPH), part.request_id, NOW, body.into())
    };
    document.parts = document.parts.into_iter().map(part).collect();
    document
}
