//! How much of the records a package shows.
//!
//! What is taken out is taken out of the assembled document, member by member: null stands in its place, or a token. Bodies as received
//! cannot be cut so, for their hashes are in the ledger: a package with less than all goes without them.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};

use crate::model::{raw, scrub};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// All that was received.
    #[default]
    Full,
    /// Without networks, devices, machines and addresses.
    NoNetwork,
    /// The same, and with tokens in place of whatever names somebody.
    Pseudonymised,
}

impl Profile {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Profile::Full => "full",
            Profile::NoNetwork => "no-network",
            Profile::Pseudonymised => "pseudonymised",
        }
    }

    /// What a package of this profile has not, and why.
    #[must_use]
    pub fn left_out(self) -> Vec<String> {
        let mut out = Vec::new();
        if self != Profile::Full {
            out.push("Networks, devices, machines, user agents and addresses: null stands in their place.".to_owned());
            out.push("The bodies as received (parts.ndjson): they hold what this profile leaves out. So the records cannot be made again \
                      of them; the proofs show which records, with which hashes, the ledger has.".to_owned());
        }
        if self == Profile::Pseudonymised {
            out.push("Names, ids of people, numbers and free text: tokens stand in their place, the same for the same text. Who has the \
                      key can tell which.".to_owned());
            out.push("Records of the directory.".to_owned());
        }
        out
    }
}

/// The key of tokens, kept apart from archive and package.
pub struct TokenKey(hmac::Key);

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenKey")
    }
}

/// A key that can be guessed makes tokens that can be undone.
const KEY_BYTES_MIN: usize = 16;
/// Digits of a token: 80 bits, so that no two texts of an archive share one.
const TOKEN_BYTES: usize = 10;

impl TokenKey {
    /// Takes the content of a key file, white space around it aside.
    ///
    /// # Errors
    /// A fragment that says what is wrong with it.
    pub fn new(content: &[u8]) -> Result<Self, String> {
        let key = content.trim_ascii();
        if key.len() < KEY_BYTES_MIN {
            return Err(format!("it has {} bytes, and fewer than {KEY_BYTES_MIN} can be guessed", key.len()));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    /// The token that stands for a text, whatever the case of its letters.
    #[must_use]
    pub fn token(&self, text: &str) -> String {
        let tag = hmac::sign(&self.0, text.to_lowercase().as_bytes());
        tag.as_ref()[..TOKEN_BYTES].iter().fold("anon-".to_owned(), |token, byte| token + &format!("{byte:02x}"))
    }
}

/// Takes out of documents what a profile does not show.
#[derive(Debug)]
pub enum Redaction {
    None,
    NoNetwork,
    Pseudonymised(Box<TokenKey>),
}

/// Members of calls and rows that tell of networks, devices and machines.
const NETWORK: [&str; 17] = [
    "callerNetwork",
    "calleeNetwork",
    "callerDevice",
    "calleeDevice",
    "cpuName",
    "cpuCoresCount",
    "cpuProcessorSpeedInMhz",
    "headerValue",
    "clientLocalIpV4Address",
    "clientLocalIpV6Address",
    "clientPublicIpV4Address",
    "clientPublicIpV6Address",
    "trunkFullyQualifiedDomainName",
    "ipAddress",
    "reflexiveIPAddress",
    "macAddress",
    "subnet",
];
/// Members that hold the name of a machine in their `name`.
const ENDPOINTS: [&str; 2] = ["caller", "callee"];
/// Members of rows whose values are words of Graph's, besides those of calls.
const WORDS: [&str; 17] = [
    "callType",
    "callDurationSource",
    "currency",
    "destinationContext",
    "inventoryType",
    "licenseCapability",
    "operator",
    "tenantCountryCode",
    "usageCountryCode",
    "otherPartyCountryCode",
    "blockReason",
    "remediationId",
    "mediaPathLocation",
    "signalingLocation",
    "finalSipCodePhrase",
    "smsType",
    "userType",
];

impl Redaction {
    #[must_use]
    pub fn profile(&self) -> Profile {
        match self {
            Redaction::None => Profile::Full,
            Redaction::NoNetwork => Profile::NoNetwork,
            Redaction::Pseudonymised(_) => Profile::Pseudonymised,
        }
    }

    /// The document as the profile shows it. Its own id stays: the ledger's entry, which is beside it, names it.
    #[must_use]
    pub fn document(&self, json: &str) -> String {
        if matches!(self, Redaction::None) {
            return json.to_owned();
        }
        let mut out = String::with_capacity(json.len());
        self.value(Place { member: "", parent: "", depth: 0 }, json, &mut out);
        out
    }

    /// A text of the question, which may name somebody.
    #[must_use]
    pub fn asked(&self, text: &str) -> String {
        match self {
            Redaction::Pseudonymised(key) => key.token(text),
            _ => text.to_owned(),
        }
    }

    fn value(&self, place: Place<'_>, json: &str, out: &mut String) {
        if Self::is_out(place) {
            out.push_str("null");
            return;
        }
        match json.as_bytes().first() {
            Some(b'{') => {
                out.push('{');
                for (n, member) in raw::members_of_checked(json).unwrap_or_default().into_iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    out.push_str(member.key);
                    out.push(':');
                    let name = member.key.trim_matches('"');
                    self.value(Place { member: name, parent: place.member, depth: place.depth + 1 }, member.value, out);
                }
                out.push('}');
            }
            Some(b'[') => {
                out.push('[');
                for (n, element) in raw::elements(json).unwrap_or_default().into_iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    self.value(Place { depth: place.depth + 1, ..place }, element, out);
                }
                out.push(']');
            }
            Some(b'"') => self.text(place, json, out),
            _ => out.push_str(json),
        }
    }

    fn is_out(place: Place<'_>) -> bool {
        NETWORK.contains(&place.member) || (place.member == "name" && ENDPOINTS.contains(&place.parent))
    }

    fn text(&self, place: Place<'_>, json: &str, out: &mut String) {
        let text = serde_json::from_str::<String>(json).unwrap_or_default();
        // An address under a name that is not known yet is one all the same, and so is that in an id of SIP.
        if is_address(&text) {
            out.push_str("null");
            return;
        }
        let of_sip = text.rsplit_once('@').filter(|(_, host)| is_address(host));
        let (text, json) = match of_sip {
            Some((id, _)) => (id.to_owned(), serde_json::to_string(id).unwrap_or_default().into()),
            None => (text, Cow::Borrowed(json)),
        };
        match self {
            Redaction::Pseudonymised(key) if !stays(place, &text) => {
                out.push('"');
                out.push_str(&key.token(&text));
                out.push('"');
            }
            _ => out.push_str(&json),
        }
    }
}

/// Where in a document a value stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    member: &'a str,
    /// The member that the object with this one stands under.
    parent: &'a str,
    depth: usize,
}

/// Whether a text says nothing of anybody.
fn stays(place: Place<'_>, text: &str) -> bool {
    let is_own_id = place.depth == 1 && place.member == "id";
    is_own_id
        || text.is_empty()
        || scrub::is_word(place.member)
        || WORDS.contains(&place.member)
        || place.member.ends_with("DateTime")
        || scrub::is_duration(text.as_bytes())
}

/// Addresses of IP and of machines, as they are spelled anywhere: with a port, a zone or the length of a network behind them, too.
fn is_address(text: &str) -> bool {
    let is_mac = |separator: char, pieces: usize, digits: usize| {
        text.split(separator).count() == pieces
            && text
                .split(separator)
                .all(|piece| piece.len() == digits && piece.bytes().all(|digit| digit.is_ascii_hexdigit()))
    };
    let is_ip = |text: &str| {
        let (text, _) = text.split_once('/').unwrap_or((text, ""));
        let (text, _) = text.split_once('%').unwrap_or((text, ""));
        IpAddr::from_str(text.trim_matches(['[', ']'])).is_ok() || SocketAddr::from_str(text).is_ok()
    };
    is_ip(text) || is_mac(':', 6, 2) || is_mac('-', 6, 2) || is_mac('.', 3, 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: &str = r#"{"id":"c1","type":"groupCall","startDateTime":"2026-11-01T10:00:00Z","modalities":["audio"],"organizer_v2":{"id":"u1","identity":{"user":{"id":"U1","displayName":"Zofia \"Z\" Nowak","userPrincipalName":"zofia@x"}}},"sessions":[{"id":"s","caller":{"name":"PC-7","cpuName":"Intel","userAgent":{"headerValue":"Phone 7","platform":"windows"},"associatedIdentity":{"id":"u1","name":null}},"segments":[{"media":[{"label":"main-audio","callerNetwork":{"ipAddress":"10.0.0.1"},"new":"fe80::1","sip":"77_1@203.0.113.7","streams":[{"averageJitter":"PT0.01S","streamId":"99","wasMediaBypassed":null,"averagePacketLossRate":0.010}]}]}]}]}"#;

    fn key() -> TokenKey {
        TokenKey::new(b"0123456789abcdef\n").unwrap()
    }

    #[test]
    fn networks_devices_and_machines_go_and_all_else_stays_letter_for_letter() {
        let shown = Redaction::NoNetwork.document(CALL);
        let expected = CALL
            .replace(r#"{"ipAddress":"10.0.0.1"}"#, "null")
            .replace(r#""PC-7""#, "null")
            .replace(r#""Intel""#, "null")
            .replace(r#""Phone 7""#, "null")
            .replace(r#""fe80::1""#, "null")
            .replace("@203.0.113.7", "");
        assert_eq!(shown, expected);
        assert_eq!(Redaction::None.document(CALL), CALL);
    }

    #[test]
    fn an_address_is_one_however_it_is_spelled() {
        for text in [
            "10.0.0.1",
            "10.0.0.1:5061",
            "10.0.0.0/24",
            "fe80::1%eth0",
            "[2001:db8::1]:5061",
            "[2001:db8::1]",
            "2001:db8::/32",
            "00-1A-2b-3c-4d-5e",
            "00:1a:2b:3c:4d:5e",
            "001a.2b3c.4d5e",
        ] {
            assert!(is_address(text), "{text}");
            let shown = Redaction::NoNetwork.document(&format!(r#"{{"a":"{text}","sip":"77@{text}"}}"#));
            assert_eq!(shown, r#"{"a":null,"sip":"77"}"#);
        }
        for text in ["", "1.2", "2026-11-01", "anon-77", "7", "10:00:00", "a/b", "1/2", "v1.2.3.4.5"] {
            assert!(!is_address(text), "{text}");
        }
    }

    #[test]
    fn tokens_stand_for_whoever_is_named_and_are_the_same_for_the_same() {
        let shown = Redaction::Pseudonymised(key().into()).document(CALL);
        for gone in ["Zofia", "zofia@x", "\"u1\"", "U1", "PC-7", "10.0.0.1", "fe80", "77_1", "203.0.113.7"] {
            assert!(!shown.contains(gone), "{gone}: {shown}");
        }
        for kept in [
            "\"id\":\"c1\"",
            "groupCall",
            "\"audio\"",
            "2026-11-01T10:00:00Z",
            "PT0.01S",
            "0.010",
            "main-audio",
            "windows",
        ] {
            assert!(shown.contains(kept), "{kept}: {shown}");
        }
        assert_eq!(shown.matches(&key().token("u1")).count(), 3, "one token for one id, whatever the case: {shown}");
        assert!(serde_json::from_str::<serde_json::Value>(&shown).is_ok());
        let other = TokenKey::new(b"0123456789abcdeg").unwrap();
        assert_ne!(other.token("u1"), key().token("u1"));
        assert!(TokenKey::new(b" short \n").is_err());
    }
}
