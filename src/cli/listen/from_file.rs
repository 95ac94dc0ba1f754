//! `listen --from-file`: notifications as a queue has kept them, from a file or a pipe.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
    thread,
    time::Duration,
};

use apache_avro::types as avro;
use serde_json::Value;

use crate::{
    archive::inbox::{Delivery, Inbox, Tally},
    cli::{
        Context,
        exit::{Code, Result},
        show::Format,
        sync, usage,
    },
    model::{
        notification::{self, Lifecycle, MISSED_BEFORE, News, Notification},
        source::Source,
        time::{Span, Timestamp},
    },
    sync::{Reach, round::Round},
};

/// Documents whose ids are stored together.
const TOGETHER_MAX: usize = 500;
/// How an Avro file begins.
const AVRO: &[u8] = b"Obj\x01";
/// How long after a fetch that failed the next one comes.
const PAUSE: Duration = Duration::from_secs(10);
/// How often it is looked whether something was read.
const LOOK: Duration = Duration::from_millis(200);

/// What was found in the file.
#[derive(Default)]
struct Found {
    documents: u64,
    notifications: u64,
    elsewhere: u64,
}

/// Queues all ids, and has them fetched as a receiver would: those of a pipe while it lasts.
pub(super) fn run(path: &Path, format: Format, context: &Context) -> Result<Code> {
    let name = path.display().to_string();
    let trouble = |what: String| usage(format!("--from-file: {name}: {what}"));
    let tenant_id = context.config.graph()?.tenant_id;
    let is_pipe = name == "-";
    let input: Box<dyn Read + Send> = if is_pipe {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).map_err(|error| trouble(error.to_string()))?)
    };
    let mut inbox = Inbox::open_or_create(&context.folder())?;
    let together = if is_pipe { 1 } else { TOGETHER_MAX };
    let reading = thread::spawn(move || queue(BufReader::new(input), tenant_id.as_deref(), together, &mut inbox));
    let mut code = Code::Done;
    while !reading.is_finished() {
        thread::sleep(LOOK);
        if is_pipe {
            // A fetch that fails ends no reading: what is queued is queued, and tried again at the end.
            match fetch(format, context) {
                Ok(fetched) => code = code.max(fetched),
                Err(failure) => {
                    context.note(&failure.to_string());
                    thread::sleep(PAUSE);
                }
            }
        }
    }
    let read = reading.join().unwrap_or_else(|_| Err("reading it ended unexpectedly".to_owned()));
    let Found { documents, notifications, elsewhere } = read.map_err(trouble)?;
    context.note(&format!(
        "{notifications} notifications in {documents} documents; {elsewhere} of other tenants were left out"
    ));
    Ok(code.max(fetch(format, context)?))
}

/// Fetches what waits in the inbox, unless a service does.
fn fetch(format: Format, context: &Context) -> Result<Code> {
    let waits = Inbox::open_existing(&context.folder())?.is_some_and(|inbox| inbox.has_work().unwrap_or(true));
    if !waits || context.folder().is_served()? {
        return Ok(Code::Done);
    }
    sync::once(&Round { named: vec![Source::Calls], reach: Reach::Hints, ..Round::default() }, format, context)
        .map_err(|failure| failure.hint("what was read is queued: the next sync takes it over"))
}

/// Documents of whatever form into the inbox: JSON one after the other, or the Avro file of an event hub's capture.
fn queue(
    input: impl Read,
    tenant_id: Option<&str>,
    together: usize,
    inbox: &mut Inbox,
) -> std::result::Result<Found, String> {
    let mut found = Found::default();
    let mut delivery = Delivery::default();
    for document in documents(input)? {
        let document = document
            .map_err(|error| format!("document {}: {error}; what came before it is queued", found.documents + 1));
        if let Ok(document) = &document {
            found.documents += 1;
            for notification in notification::anywhere(document) {
                take(notification, tenant_id, &mut delivery, &mut found);
            }
        }
        if document.is_err() || delivery.ids.len() >= together {
            store(&mut delivery, inbox)?;
        }
        document?;
    }
    store(&mut delivery, inbox)?;
    Ok(found)
}

type Documents<'a> = Box<dyn Iterator<Item = std::result::Result<Value, String>> + 'a>;

fn documents<'a>(mut input: impl Read + 'a) -> std::result::Result<Documents<'a>, String> {
    let mut magic = Vec::new();
    input.by_ref().take(AVRO.len() as u64).read_to_end(&mut magic).map_err(|error| error.to_string())?;
    let is_avro = magic == AVRO;
    let whole = io::Cursor::new(magic).chain(input);
    if !is_avro {
        let documents = serde_json::Deserializer::from_reader(whole).into_iter::<Value>();
        return Ok(Box::new(documents.map(|document| document.map_err(|error| error.to_string()))));
    }
    let events = apache_avro::Reader::new(whole).map_err(|error| format!("as an Avro file: {error}"))?;
    Ok(Box::new(events.map(|event| event.map(|event| body(&event)).map_err(|error| error.to_string()))))
}

/// What an event of a capture carries: its `Body` is what was sent to the hub. Null where that is no JSON.
///
/// Source: Azure Event Hubs, "Exploring captured Avro files in Azure Event Hubs" (2026-08).
fn body(event: &avro::Value) -> Value {
    let avro::Value::Record(members) = event else { return Value::Null };
    let body = members.iter().find(|(name, _)| name == "Body").map(|(_, body)| body);
    let body = if let Some(avro::Value::Union(_, inner)) = body { Some(&**inner) } else { body };
    match body {
        Some(avro::Value::Bytes(bytes)) => serde_json::from_slice(bytes).unwrap_or_default(),
        Some(avro::Value::String(text)) => serde_json::from_str(text).unwrap_or_default(),
        _ => Value::Null,
    }
}

fn store(delivery: &mut Delivery, inbox: &mut Inbox) -> std::result::Result<(), String> {
    inbox.add(&std::mem::take(delivery), Timestamp::now()).map_err(|error| error.to_string())
}

/// The file is trusted as whoever gives it is; records of another tenant are none of ours all the same.
fn take(notification: Notification, tenant_id: Option<&str>, delivery: &mut Delivery, found: &mut Found) {
    // A tenant may be set by a name of its own, which notifications do not have.
    let ours = tenant_id.filter(|ours| uuid::Uuid::try_parse(ours).is_ok());
    let its = notification.tenant_id.as_deref();
    if its.zip(ours).is_some_and(|(its, ours)| !its.eq_ignore_ascii_case(ours)) {
        found.elsewhere += 1;
        delivery.count(Tally::WrongTenant);
        return;
    }
    match notification.news {
        News::Changed { id } => {
            found.notifications += 1;
            delivery.count(Tally::Accepted);
            delivery.ids.push(id);
        }
        News::Lifecycle(Lifecycle::Missed | Lifecycle::SubscriptionRemoved) => {
            let now = Timestamp::now();
            delivery.count(Tally::Lifecycle);
            delivery
                .missed
                .push((Span::new(now - MISSED_BEFORE, now), "a queue says that notifications were missed".into()));
        }
        News::Lifecycle(Lifecycle::ReauthorizationRequired) => delivery.count(Tally::Lifecycle),
        News::Test | News::Unknown => delivery.count(Tally::NotARecord),
    }
}

#[cfg(test)]
mod tests {
    use apache_avro::{Codec, DeflateSettings, Schema, Writer, types::Record};

    use super::*;

    /// The schema of a capture, as its documentation prints it.
    const CAPTURE: &str = r#"{"type":"record","name":"EventData","namespace":"Microsoft.ServiceBus.Messaging","fields":[
        {"name":"SequenceNumber","type":"long"},{"name":"Offset","type":"string"},{"name":"EnqueuedTimeUtc","type":"string"},
        {"name":"SystemProperties","type":{"type":"map","values":["long","double","string","bytes"]}},
        {"name":"Properties","type":{"type":"map","values":["long","double","string","bytes","null"]}},
        {"name":"Body","type":["null","bytes"]}]}"#;

    #[test]
    fn the_events_of_a_capture_are_read_compressed_or_not() {
        let schema = Schema::parse_str(CAPTURE).unwrap();
        let item = |id: &str| {
            format!(r#"{{"value":[{{"subscriptionId":"s","resource":"communications/callRecords/{id}"}}]}}"#)
        };
        for codec in [Codec::Null, Codec::Deflate(DeflateSettings::default())] {
            let mut writer = Writer::with_codec(&schema, Vec::new(), codec);
            for body in [Some(item("a").into_bytes()), None, Some(b"no JSON".to_vec()), Some(item("b").into_bytes())] {
                let mut event = Record::new(&schema).unwrap();
                event.put("SequenceNumber", 1_i64);
                event.put("Offset", "0");
                event.put("EnqueuedTimeUtc", "11/27/2026 8:00:00 AM");
                event.put("SystemProperties", avro::Value::Map(std::collections::HashMap::new()));
                event.put("Properties", avro::Value::Map(std::collections::HashMap::new()));
                event.put("Body", body);
                writer.append(event).unwrap();
            }
            let mut file = writer.into_inner().unwrap();
            let dir = tempfile::tempdir().unwrap();
            let mut inbox = Inbox::open_or_create(&crate::archive::Folder::new(dir.path())).unwrap();
            let found = queue(file.as_slice(), None, TOGETHER_MAX, &mut inbox).unwrap();
            assert_eq!((found.documents, found.notifications), (4, 2));
            let ids: Vec<_> = inbox.announced(9).unwrap().into_iter().map(|announced| announced.id).collect();
            assert_eq!(ids, ["a", "b"]);
            // One that is cut off says so.
            file.truncate(file.len() - 20);
            assert!(queue(file.as_slice(), None, TOGETHER_MAX, &mut inbox).is_err());
        }
    }
}
