//! Answers about people: the list, one of them, and the delta, which tells what changed since it was last asked.

use serde::{Deserialize, Serialize};

use crate::{
    model::time::{Age, Timestamp},
    simulate::{
        World,
        answer::{Answer, Stamp},
        cursor,
        dice::Dice,
        directory::{Entry, State},
        json::Json,
        query::options,
        resource::People,
        routes::{Asked, Server},
        weather::Fault,
    },
};

/// The members that the directory has.
const SELECTABLE: [&str; 15] = [
    "id",
    "displayName",
    "userPrincipalName",
    "mail",
    "otherMails",
    "department",
    "businessPhones",
    "mobilePhone",
    "accountEnabled",
    "createdDateTime",
    "givenName",
    "surname",
    "jobTitle",
    "officeLocation",
    "preferredLanguage",
];
/// Those that come when none are asked for.
const USUAL: [&str; 11] = [
    "businessPhones",
    "displayName",
    "givenName",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
    "id",
];
/// The largest `$top`.
const TOP_MAX: usize = 999;

/// Where a page of users begins. All pages of a round show the directory as it was at the round's first.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Place {
    List { as_of_ns: i64, offset: usize, select: Option<Vec<String>>, size: usize },
    Delta { since_ns: Option<i64>, as_of_ns: i64, offset: usize, select: Option<Vec<String>>, size: usize },
}

/// What a delta link says: what was told up to then.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Told {
    until_ns: i64,
    select: Option<Vec<String>>,
}

/// What a query asks for.
#[derive(Debug, Default)]
struct Query {
    select: Option<Vec<String>>,
    top: Option<usize>,
    skip_token: Option<String>,
    delta_token: Option<String>,
}

impl Server {
    /// Answers a request for users by somebody who may make it.
    pub(super) fn users(&self, target: &People, asked: &Asked, token: &str) -> Result<Answer, Answer> {
        let stamp = &asked.stamp;
        let query = Query::of(target, &asked.query)
            .map_err(|message| Answer::error(400, "Request_BadRequest", &message, stamp))?;
        if let People::One(id) = target {
            let fault = self.fault(&format!("{target:?}"), token, stamp, befalls_one)?;
            let entry = self.world.user_of(id, stamp.now).ok_or_else(|| no_user(id, stamp))?;
            let context = context(asked, query.select.as_deref(), "/$entity");
            let body = Json::new_with(|json| {
                json.raw("{\"@odata.context\":").text(&context);
                self.world.members_of(json, &entry, query.select.as_deref(), true);
                json.raw("}");
            });
            return Ok(self.delivered(body, fault));
        }
        let (place, round) = self.place(target, query, asked)?;
        let fault = self.fault(&format!("{target:?} {place:?} {round}"), token, stamp, |fault| {
            !matches!(fault, Fault::LaggingReplica | Fault::NotFoundYet)
        })?;
        Ok(self.delivered(self.page_of_users(&place, round, fault, asked), fault))
    }

    fn place(&self, target: &People, query: Query, asked: &Asked) -> Result<(Place, u32), Answer> {
        let (stamp, seed) = (&asked.stamp, self.world.seed());
        let as_of_ns = stamp.now.0;
        let is_delta = *target == People::Delta;
        if let Some(text) = query.skip_token {
            let known = cursor::decode::<Place>(seed, &text, stamp.now, self.skip_token_life);
            let fitting = known.filter(|(place, _)| matches!(place, Place::Delta { .. }) == is_delta);
            return fitting.ok_or_else(|| {
                let message =
                    "The specified page token value has expired and can no longer be included in your request.";
                Answer::error(400, "Directory_ExpiredPageToken", message, stamp)
            });
        }
        let size = asked.page_max.map_or(self.page_sizes.users, |max| max.min(self.page_sizes.users)).max(1);
        if let Some(text) = query.delta_token {
            let known = cursor::decode::<Told>(seed, &text, stamp.now, self.delta_token_life);
            let (Told { until_ns, select }, _) = known.ok_or_else(|| {
                let message = "The sync state generation is not found; full synchronization is required.";
                Answer::error(410, "syncStateNotFound", message, stamp)
            })?;
            return Ok((Place::Delta { since_ns: Some(until_ns), as_of_ns, offset: 0, select, size }, 0));
        }
        let select = query.select;
        Ok(if is_delta {
            (Place::Delta { since_ns: None, as_of_ns, offset: 0, select, size }, 0)
        } else {
            (Place::List { as_of_ns, offset: 0, select, size: query.top.unwrap_or(size) }, 0)
        })
    }

    fn page_of_users(&self, place: &Place, round: u32, fault: Option<Fault>, asked: &Asked) -> String {
        let (offset, size, select) = match place {
            Place::List { offset, size, select, .. } | Place::Delta { offset, size, select, .. } => {
                (*offset, *size, select.clone())
            }
        };
        let entries = match place {
            Place::List { as_of_ns, .. } | Place::Delta { since_ns: None, as_of_ns, .. } => {
                self.world.entries_at(Timestamp(*as_of_ns))
            }
            Place::Delta { since_ns: Some(since_ns), as_of_ns, .. } => {
                self.world.changed_between(Timestamp(*since_ns), Timestamp(*as_of_ns))
            }
        };
        let shown = match fault {
            Some(Fault::EmptyPage) => &[],
            _ => entries.get(offset..entries.len().min(offset + size)).unwrap_or_default(),
        };
        let next_offset = offset + shown.len();
        let next = match fault {
            Some(Fault::LinkLoop) => Some(asked.url()),
            Some(Fault::EmptyPage) => Some(self.skip_link(place.moved_to(offset), round + 1, asked)),
            Some(Fault::Duplicate) if next_offset < entries.len() => {
                Some(self.skip_link(place.moved_to(next_offset.saturating_sub(1)), round + 1, asked))
            }
            _ => (next_offset < entries.len()).then(|| self.skip_link(place.moved_to(next_offset), 0, asked)),
        };
        Json::new_with(|json| {
            json.raw("{\"@odata.context\":").text(&context(asked, select.as_deref(), ""));
            match (&next, place) {
                (Some(next), _) => _ = json.raw(",\"@odata.nextLink\":").text(next),
                (None, Place::Delta { as_of_ns, .. }) => {
                    let told = Told { until_ns: *as_of_ns, select: select.clone() };
                    let token = cursor::encode(self.world.seed(), told, asked.stamp.now, 0);
                    let link = format!("{}{}?$deltatoken={token}", asked.host, asked.path);
                    json.raw(",\"@odata.deltaLink\":").text(&link);
                }
                (None, Place::List { .. }) => {}
            }
            json.raw(",\"value\":[");
            json.list(shown, |json, entry| self.item(json, entry, select.as_deref()));
            json.raw("]}");
        })
    }

    fn item(&self, json: &mut Json, entry: &Entry, select: Option<&[String]>) {
        json.raw("{");
        match entry.state {
            State::There => self.world.members_of(json, entry, select, false),
            State::Deleted | State::Gone => {
                json.raw("\"id\":").text(&self.world.people()[entry.place].id);
                let reason = if entry.state == State::Gone { "deleted" } else { "changed" };
                json.raw(",\"@removed\":{\"reason\":\"").raw(reason).raw("\"}");
            }
        }
        json.raw("}");
    }

    fn skip_link(&self, place: Place, round: u32, asked: &Asked) -> String {
        let token = cursor::encode(self.world.seed(), place, asked.stamp.now, round);
        format!("{}{}?$skiptoken={token}", asked.host, asked.path)
    }
}

impl Place {
    fn moved_to(&self, to: usize) -> Self {
        let mut place = self.clone();
        let (Place::List { offset, .. } | Place::Delta { offset, .. }) = &mut place;
        *offset = to;
        place
    }
}

impl Query {
    fn of(target: &People, raw: &str) -> Result<Self, String> {
        let mut query = Self::default();
        let is_page = !matches!(target, People::One(_));
        for (name, value) in options(raw) {
            match name.as_str() {
                "$select" => query.select = Some(read_select(&value)?),
                "$top" if *target == People::List => {
                    let top = value.parse().ok().filter(|top| (1..=TOP_MAX).contains(top));
                    query.top = Some(top.ok_or_else(|| format!("Invalid page size specified: '{value}'."))?);
                }
                "$skiptoken" if is_page => query.skip_token = Some(value),
                "$deltatoken" if *target == People::Delta => query.delta_token = Some(value),
                name if name.starts_with('$') => return Err(format!("Query option '{name}' is not supported here.")),
                _ => {}
            }
        }
        Ok(query)
    }
}

fn read_select(text: &str) -> Result<Vec<String>, String> {
    let names: Vec<_> = text.split(',').map(|name| name.trim().to_owned()).collect();
    match names.iter().find(|name| !SELECTABLE.contains(&name.as_str())) {
        Some(name) => Err(format!(
            "Parsing OData Select and Expand failed: Could not find a property named '{name}' on type 'microsoft.graph.user'."
        )),
        None => Ok(names),
    }
}

/// The faults that befall a request for one user.
fn befalls_one(fault: Fault) -> bool {
    !matches!(fault, Fault::EmptyPage | Fault::Duplicate | Fault::LinkLoop | Fault::LaggingReplica | Fault::NotFoundYet)
}

fn no_user(id: &str, stamp: &Stamp) -> Answer {
    let message =
        format!("Resource '{id}' does not exist or one of its queried reference-property objects are not present.");
    Answer::error(404, "Request_ResourceNotFound", &message, stamp)
}

fn context(asked: &Asked, select: Option<&[String]>, end: &str) -> String {
    let version = if asked.path.starts_with("/beta/") { "beta" } else { "v1.0" };
    let selected = select.map(|names| format!("({})", names.join(","))).unwrap_or_default();
    format!("https://graph.microsoft.com/{version}/$metadata#users{selected}{end}")
}

impl World {
    /// Somebody of ours by id or user principal name, unless deleted.
    fn user_of(&self, id: &str, at: Timestamp) -> Option<Entry> {
        let mut entries = (0..self.people().len()).map(|place| self.entry_at(place, at));
        let named = |entry: &Entry| {
            self.people()[entry.place].id.eq_ignore_ascii_case(id) || entry.upn.eq_ignore_ascii_case(id)
        };
        entries.find(named).filter(|entry| entry.state == State::There)
    }

    /// The members of a user, the first with a comma before it if `follows`.
    fn members_of(&self, json: &mut Json, entry: &Entry, select: Option<&[String]>, follows: bool) {
        let person = &self.people()[entry.place];
        let mut dice = Dice::of(self.seed(), &[0xd1, entry.place as u64]);
        let department = *dice.pick(&["Sales", "Vertrieb", "R&D", "Operations", "Legal", "人事部"]);
        let mobile = dice.chance(0.6).then(|| format!("{}55", person.phone));
        let other_mail = dice.chance(0.2).then(|| entry.upn.replace('@', ".private@mail."));
        let created = self.began - Age::days(dice.between(40, 4000)) - Age::seconds(dice.between(0, 86_400));
        let wanted: Vec<&str> = match select {
            // Selected or not, a delta's users have their id.
            Some(names) => {
                let names = names.iter().map(String::as_str);
                if follows {
                    names.collect()
                } else {
                    ["id"].into_iter().chain(names.filter(|name| *name != "id")).collect()
                }
            }
            None => USUAL.to_vec(),
        };
        if follows {
            json.raw(",");
        }
        json.list(wanted, |json, name| {
            json.raw("\"").raw(name).raw("\":");
            match name {
                "id" => json.text(&person.id),
                "displayName" => json.text(&entry.name),
                "userPrincipalName" => json.text(&entry.upn),
                "mail" => json.text_or_null(entry.mail.as_deref()),
                "department" => json.text(department),
                "businessPhones" => json.raw("[").text(&person.phone).raw("]"),
                "mobilePhone" => json.text_or_null(mobile.as_deref()),
                "otherMails" => match &other_mail {
                    Some(mail) => json.raw("[").text(mail).raw("]"),
                    None => json.raw("[]"),
                },
                "accountEnabled" => json.raw("true"),
                "createdDateTime" => json.raw("\"").raw(&created.to_seconds_text()).raw("\""),
                _ => json.raw("null"),
            };
        });
    }
}
