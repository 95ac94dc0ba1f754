//! `listen --from-file`: notifications as a queue has kept them, from a file or a pipe.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

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
        notification::{self, Lifecycle, News, Notification},
        source::Source,
        time::{Age, Span, Timestamp},
    },
    sync::{Reach, round::Round},
};

/// Documents whose ids are stored together.
const TOGETHER_MAX: usize = 500;
/// How long before the word that notifications were missed they may have been.
const MISSED_BEFORE: Age = Age::hours(4);

/// What was found in the file.
#[derive(Default)]
struct Found {
    documents: u64,
    notifications: u64,
    elsewhere: u64,
}

/// Queues all ids, then has them fetched as a receiver would.
pub(super) fn run(path: &Path, format: Format, context: &Context) -> Result<Code> {
    let name = path.display().to_string();
    let input: Box<dyn Read> = if name == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).map_err(|error| usage(format!("--from-file: {name}: {error}")))?)
    };
    let graph = context.config.graph()?;
    let mut inbox = Inbox::open_or_create(&context.folder())?;
    let found = queue(BufReader::new(input), graph.tenant_id.as_deref(), &mut inbox)
        .map_err(|what| usage(format!("--from-file: {name}: {what}")))?;
    let Found { documents, notifications, elsewhere } = found;
    context.note(&format!(
        "{notifications} notifications in {documents} documents; {elsewhere} of other tenants were left out"
    ));
    if notifications == 0 {
        return Ok(Code::Done);
    }
    if context.folder().is_served().unwrap_or(false) {
        context.note("a sync --watch takes them over");
        return Ok(Code::Done);
    }
    sync::once(&Round { named: vec![Source::Calls], reach: Reach::Hints, ..Round::default() }, format, context)
}

/// JSON documents one after the other, of whatever form, into the inbox.
fn queue(input: impl Read, tenant_id: Option<&str>, inbox: &mut Inbox) -> std::result::Result<Found, String> {
    let mut found = Found::default();
    let mut delivery = Delivery::default();
    for document in serde_json::Deserializer::from_reader(input).into_iter::<Value>() {
        let document = document
            .map_err(|error| format!("document {}: {error}; what came before it is queued", found.documents + 1));
        if let Ok(document) = &document {
            found.documents += 1;
            for notification in notification::anywhere(document) {
                take(notification, tenant_id, &mut delivery, &mut found);
            }
        }
        if document.is_err() || delivery.ids.len() >= TOGETHER_MAX {
            store(&mut delivery, inbox)?;
        }
        document?;
    }
    store(&mut delivery, inbox)?;
    Ok(found)
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
