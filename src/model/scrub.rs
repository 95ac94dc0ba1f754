//! Records without anybody in them: the samples that a dictionary is trained on.
//!
//! A dictionary is made of pieces of its samples, word for word, and is kept as long as a frame needs it: whoever was purged would live on
//! in it. So what may name somebody (names, addresses, numbers, ids, machines, times) is overwritten before, each letter and digit by
//! another of its sort, drawn by lot. What stays is Graph's own: names of members, words of its enums, figures, and the shape of the rest.
//!
//! In between are names of devices and programs, which repeat from call to call and are half of what a dictionary of one's own can save. One
//! that stands in many calls that have nobody in common is a product; one that goes with somebody is theirs, and is overwritten.

use std::collections::{HashMap, HashSet};

/// Members whose values are Graph's own words.
const WORDS: [&str; 22] = [
    "@odata.type",
    "what",
    "type",
    "modalities",
    "platform",
    "productFamily",
    "role",
    "stage",
    "rating",
    "label",
    "endpointType",
    "streamDirection",
    "audioCodec",
    "videoCodec",
    "networkTransportProtocol",
    "connectionType",
    "wifiBand",
    "wifiRadioType",
    "applicationVersion",
    "wifiMicrosoftDriverVersion",
    "wifiVendorDriverVersion",
    "pstnCallType",
];
/// Members whose values stay where they are nobody's.
const PRODUCTS: [&str; 11] = [
    "headerValue",
    "cpuName",
    "captureDeviceName",
    "captureDeviceDriver",
    "renderDeviceName",
    "renderDeviceDriver",
    "wifiMicrosoftDriver",
    "wifiVendorDriver",
    "reason",
    "tenantId",
    "dnsSuffix",
];
/// Members that say who was there.
const PEOPLE: [&str; 3] = ["displayName", "userPrincipalName", "email"];
/// What URLs of Graph and of meetings are made of.
const URL_WORDS: [&str; 33] = [
    "https",
    "graph",
    "microsoft",
    "com",
    "v1",
    "0",
    "beta",
    "metadata",
    "communications",
    "callRecords",
    "sessions",
    "segments",
    "participants",
    "organizer",
    "v2",
    "expand",
    "entity",
    "teams",
    "l",
    "meetup",
    "join",
    "meeting",
    "thread",
    "context",
    "Tid",
    "Oid",
    "19",
    "3ameeting",
    "40thread",
    "7b",
    "22Tid",
    "22",
    "3a",
];
/// Calls that have to hold a product's name, and the part of them that may have somebody in common.
const SHARED_BY: usize = 16;
const IN_COMMON_MAX: usize = 4;

/// What many calls say of the devices in them, before any is overwritten. Calls are looked at one at a time: together they are tens of
/// megabytes.
#[derive(Default)]
pub struct Survey {
    /// Values of [`PRODUCTS`], each with the calls that have it.
    calls_of: HashMap<Vec<u8>, Vec<usize>>,
    /// A number for each name of somebody.
    people: HashMap<Vec<u8>, usize>,
    /// Who is in each call.
    people_of: Vec<HashSet<usize>>,
}

impl Survey {
    /// Looks at the uncompressed frame of a call: envelopes and bodies.
    pub fn look(&mut self, content: &[u8]) {
        let n = self.people_of.len();
        let mut people = HashSet::new();
        for (member, value) in texts(content) {
            let text = &content[value];
            if PEOPLE.contains(&member) {
                let next = self.people.len();
                people.insert(*self.people.entry(text.to_vec()).or_insert(next));
            } else if PRODUCTS.contains(&member) {
                let calls = self.calls_of.entry(text.to_vec()).or_default();
                if calls.last() != Some(&n) {
                    calls.push(n);
                }
            }
        }
        self.people_of.push(people);
    }

    /// What overwrites such calls.
    #[must_use]
    pub fn scrubber(self) -> Scrubber {
        let Self { calls_of, people_of, .. } = self;
        let is_product = |calls: &Vec<usize>| calls.len() >= SHARED_BY && is_nobodys(calls, &people_of);
        let products = calls_of.into_iter().filter(|(_, calls)| is_product(calls)).map(|(text, _)| text).collect();
        Scrubber { products, lot: Lot(0x9e37_79b9_7f4a_7c15) }
    }
}

/// Whether of those in `calls` nobody is in more than a quarter.
fn is_nobodys(calls: &[usize], people_of: &[HashSet<usize>]) -> bool {
    let mut in_calls: HashMap<usize, usize> = HashMap::new();
    for person in calls.iter().flat_map(|n| &people_of[*n]) {
        *in_calls.entry(*person).or_default() += 1;
    }
    in_calls.values().all(|count| count * IN_COMMON_MAX <= calls.len())
}

/// Overwrites what may name somebody in calls.
pub struct Scrubber {
    /// Values of [`PRODUCTS`] that stand in enough calls that have nobody in common.
    products: HashSet<Vec<u8>>,
    lot: Lot,
}

impl Scrubber {
    /// Appends the uncompressed frame of a call to `out`, overwritten: as long as it was.
    pub fn append(&mut self, content: &[u8], out: &mut Vec<u8>) {
        let mut done = 0;
        for (member, value) in texts(content) {
            out.extend_from_slice(&content[done..value.start]);
            done = value.end;
            overwrite(member, &content[value], &self.products, &mut self.lot, out);
        }
        out.extend_from_slice(&content[done..]);
    }

    /// Puts the texts of a call that may name somebody, and so are not in what [`Self::append`] gives, into `found`: all that a dictionary
    /// must not hold.
    pub fn telling(&self, content: &[u8], found: &mut HashSet<Vec<u8>>) {
        for (member, value) in texts(content) {
            let text = &content[value];
            if !is_ours(member, text, &self.products) && !is_url(member) && !is_time(member) {
                found.insert(text.to_vec());
            }
        }
    }
}

fn overwrite(member: &str, text: &[u8], products: &HashSet<Vec<u8>>, lot: &mut Lot, out: &mut Vec<u8>) {
    if is_ours(member, text, products) {
        out.extend_from_slice(text);
    } else if is_url(member) {
        for piece in text.chunk_by(|a, b| a.is_ascii_alphanumeric() == b.is_ascii_alphanumeric()) {
            let is_ours = URL_WORDS.iter().any(|word| word.as_bytes() == piece);
            if is_ours { out.extend_from_slice(piece) } else { lot.draw(piece, out) }
        }
    } else if is_time(member) {
        // The year and the month are everybody's.
        let (month, rest) = text.split_at(text.len().min(8));
        out.extend_from_slice(month);
        lot.draw(rest, out);
    } else {
        lot.draw(text, out);
    }
}

fn is_ours(member: &str, text: &[u8], products: &HashSet<Vec<u8>>) -> bool {
    WORDS.contains(&member) || is_duration(text) || (PRODUCTS.contains(&member) && products.contains(text))
}

/// Whether the values of this member are words of Graph's own.
pub(crate) fn is_word(member: &str) -> bool {
    WORDS.contains(&member)
}

fn is_url(member: &str) -> bool {
    member == "url" || member == "joinWebUrl" || member.ends_with("@odata.context")
}

fn is_time(member: &str) -> bool {
    member == "received" || member.ends_with("DateTime")
}

/// `PT0.02S` and the like: figures of the media.
pub(crate) fn is_duration(text: &[u8]) -> bool {
    let rest = text.strip_prefix(b"-").unwrap_or(text);
    rest.starts_with(b"P") && rest[1..].iter().all(|byte| b"0123456789.DTHMS".contains(byte))
}

/// The texts of JSON, each with the member under which it stands; within the quotes, as they are written.
fn texts(json: &[u8]) -> impl Iterator<Item = (&str, std::ops::Range<usize>)> {
    let mut member = "";
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + json.get(at..)?.iter().position(|byte| *byte == b'"')? + 1;
            let mut end = start;
            while *json.get(end)? != b'"' {
                end += if json[end] == b'\\' { 2 } else { 1 };
            }
            at = end + 1;
            if json[at..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':') {
                member = std::str::from_utf8(&json[start..end]).unwrap_or_default();
            } else {
                return Some((member, start..end));
            }
        }
    })
}

/// Draws by lot, the same each time: there is nothing to guess from.
struct Lot(u64);

impl Lot {
    /// As many letters and digits, of the same sorts. Letters are consonants, so that no name comes about.
    fn draw(&mut self, text: &[u8], out: &mut Vec<u8>) {
        const CONSONANTS: &[u8; 20] = b"bcdfghjklmnpqrstvwxz";
        let is_hex = text.iter().all(|byte| byte.is_ascii_hexdigit() || b"-:".contains(byte));
        for byte in text {
            out.push(match byte {
                b'0'..=b'9' | b'a'..=b'f' if is_hex => b"0123456789abcdef"[self.below(16)],
                b'0'..=b'9' => b"0123456789"[self.below(10)],
                b'A'..=b'Z' => CONSONANTS[self.below(20)].to_ascii_uppercase(),
                b'a'..=b'z' | 128.. => CONSONANTS[self.below(20)],
                other => *other,
            });
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn surveyed(contents: &[Vec<u8>]) -> Scrubber {
        let mut survey = Survey::default();
        for content in contents {
            survey.look(content);
        }
        survey.scrubber()
    }

    fn scrubbed(contents: &[Vec<u8>]) -> String {
        let (mut scrubber, mut out) = (surveyed(contents), Vec::new());
        for content in contents {
            scrubber.append(content, &mut out);
        }
        String::from_utf8(out).unwrap()
    }

    /// A call of two among many people, with a headset that everybody has and one that is somebody's.
    fn call(n: usize) -> Vec<u8> {
        let (one, other) = (n % 40, (n * 7 + 1) % 40);
        format!(
            "{{\"what\":\"record\",\"url\":\"https://graph.microsoft.com/v1.0/communications/callRecords/{n:08x}-aaaa\",\"received\":\"2026-11-02T10:00:00Z\"}}\n\
             {{\"id\":\"{n:08x}-aaaa\",\"type\":\"peerToPeer\",\"users\":[{{\"displayName\":\"Zofia {one}owska\",\"id\":\"+4930{one:07}\"}},\
             {{\"displayName\":\"J\\u00f6rg \\\"{other}\\\" Öztürk\"}}],\"captureDeviceName\":\"Jabra Evolve2 65\",\"renderDeviceName\":\"AirPods of {one}\",\
             \"reflexiveIPAddress\":\"198.51.100.{one}\",\"averageJitter\":\"PT0.013S\",\"port\":50023,\"subject\":null}}\n"
        )
        .into_bytes()
    }

    #[test]
    fn what_names_somebody_is_overwritten_and_what_is_graphs_stays() {
        let contents: Vec<_> = (0..200).map(call).collect();
        let text = scrubbed(&contents);
        for gone in ["Zofia", "owska", "Öztürk", "AirPods", "+4930", "198.51", "aaaa", "-02T10"] {
            assert!(!text.contains(gone), "{gone}");
        }
        for kept in [
            "\"url\":\"https://graph.microsoft.com/v1.0/communications/callRecords/",
            "\"type\":\"peerToPeer\"",
            "\"captureDeviceName\":\"Jabra Evolve2 65\"",
            "\"received\":\"2026-11-",
            "\"averageJitter\":\"PT0.013S\",\"port\":50023,\"subject\":null",
        ] {
            assert_eq!(text.matches(kept).count(), 200, "{kept}");
        }
    }

    #[test]
    fn a_device_that_goes_with_somebody_is_theirs_however_often_it_is_used() {
        let contents: Vec<_> = (0..200).map(|n| call(n * 40)).collect();
        let text = scrubbed(&contents);
        assert!(!text.contains("Jabra") && !text.contains("AirPods"));
        let mut telling = HashSet::new();
        let scrubber = surveyed(&contents);
        for content in &contents {
            scrubber.telling(content, &mut telling);
        }
        assert!(telling.contains(b"Jabra Evolve2 65".as_slice()));
    }

    #[test]
    fn text_that_is_cut_off_ends_it_and_nothing_else() {
        for cut in [&b"{\"a\":\"b"[..], b"\"", b"{\"a\\", b"", b"\"a\"", b"{\"displayName\":\"\\"] {
            assert_eq!(scrubbed(&[cut.to_vec()]).len(), cut.len());
        }
    }
}
