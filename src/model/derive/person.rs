//! Somebody of the directory, version by version: what each says, laid over what the versions before it said.
//!
//! A delta query names what changed, and of somebody removed nothing but the id. So a member that a version leaves out is what
//! it was in the version before; one that stands there as null has become nothing. Whether somebody is removed is said anew by each.

use crate::model::{
    document::Document,
    phone::PhoneQuery,
    rows::{Derived, Identity, Party, Person, PersonMember, Saying},
    time::Timestamp,
    view::{self, leaf::Leaf, person::User},
};

/// How `@removed` without a reason is taken: the weaker of the two.
const REMOVED: &str = "changed";

pub(super) fn derive(document: &Document, json: &str) -> Derived {
    let (user, unknown_members) = view::read::<User<'_>>(json);
    let user = user.unwrap_or_default();
    let person = document.parts.first().map(|part| saying(&user, part.received));
    Derived { person, unknown_members, ..Derived::default() }
}

/// Who a version says that somebody is, as the only party of a record.
pub(super) fn shown(json: &str) -> Derived {
    let (user, unknown_members) = view::read::<User<'_>>(json);
    let user = user.unwrap_or_default();
    let identity = Identity {
        set_key: "user".into(),
        id: user.id.owned(),
        display_name: user.display_name.owned(),
        user_principal_name: user.user_principal_name.owned().or_else(|| user.mail.owned()),
        tenant_id: None,
    };
    Derived { parties: vec![Party { identity, ..Party::default() }], unknown_members, ..Derived::default() }
}

fn saying(user: &User<'_>, seen: Timestamp) -> Saying {
    let text = |leaf: Leaf<'_>| leaf.is_present().then(|| leaf.owned());
    let enabled = user.account_enabled;
    let members = [
        text(user.display_name).map(PersonMember::DisplayName),
        text(user.user_principal_name).map(PersonMember::UserPrincipalName),
        text(user.mail).map(PersonMember::Mail),
        user.other_mails.owned().map(PersonMember::OtherMails),
        text(user.department).map(PersonMember::Department),
        user.business_phones.owned().map(PersonMember::BusinessPhones),
        text(user.mobile_phone).map(PersonMember::MobilePhone),
        enabled.is_present().then(|| PersonMember::AccountEnabled(enabled.boolean())),
    ];
    Saying {
        seen,
        id: user.id.owned(),
        members: members.into_iter().flatten().collect(),
        removed: user.removed.as_ref().map(|removed| removed.reason.owned().unwrap_or_else(|| REMOVED.to_owned())),
    }
}

/// Who somebody is once a version says `saying`; `before` is who they were in the version before.
#[must_use]
pub fn person(saying: &Saying, before: Option<&Person>) -> Person {
    let mut person = match before {
        Some(before) => Person { seen: saying.seen, removed: saying.removed.clone(), ..before.clone() },
        None => Person::nameless(saying),
    };
    for member in &saying.members {
        match member.clone() {
            PersonMember::DisplayName(name) => person.display_name = name,
            PersonMember::UserPrincipalName(upn) => person.user_principal_name = upn,
            PersonMember::Mail(mail) => person.mail = mail,
            PersonMember::OtherMails(mails) => person.other_mails = mails,
            PersonMember::Department(department) => person.department = department,
            PersonMember::BusinessPhones(numbers) => person.business_phones = numbers,
            PersonMember::MobilePhone(number) => person.mobile_phone = number,
            PersonMember::AccountEnabled(enabled) => person.account_enabled = enabled,
        }
    }
    person
}

impl Person {
    /// With nothing known of them but that they are, or were.
    fn nameless(saying: &Saying) -> Self {
        Self {
            seen: saying.seen,
            id: saying.id.clone(),
            display_name: None,
            user_principal_name: None,
            mail: None,
            other_mails: Vec::new(),
            department: None,
            business_phones: Vec::new(),
            mobile_phone: None,
            account_enabled: None,
            removed: saying.removed.clone(),
        }
    }

    /// Every address but the UPN.
    pub fn mails(&self) -> impl Iterator<Item = &str> {
        self.mail.iter().chain(&self.other_mails).map(String::as_str)
    }

    /// Their numbers as they stand in the directory.
    pub fn numbers(&self) -> impl Iterator<Item = &str> {
        self.business_phones.iter().chain(&self.mobile_phone).map(String::as_str)
    }

    /// Their numbers in one spelling; a directory takes any. What is no number, or an extension of less than four digits, is not
    /// among them.
    pub fn plain_numbers(&self) -> impl Iterator<Item = String> {
        self.numbers().filter_map(|number| Some(PhoneQuery::parse(number)?.plain()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        document::{Part, What},
        id::{RecordKey, Version},
        kind::Kind,
    };
    use proptest::prelude::{any, proptest};

    fn said(seen: i64, json: &str) -> Saying {
        let key = RecordKey { kind: Kind::Person, id: "u".into() };
        let part = Part::new(What::Row, "https://graph/users".into(), None, Timestamp(seen), json.into());
        let document = Document { key, version: Version(1), parts: vec![part] };
        crate::model::derive::derive(&document, json).person.unwrap()
    }

    /// Who somebody is after each of `versions`.
    fn life(versions: &[&str]) -> Vec<Person> {
        let mut people: Vec<Person> = Vec::new();
        for (n, json) in (1..).zip(versions) {
            people.push(person(&said(n, json), people.last()));
        }
        people
    }

    #[test]
    fn what_a_version_leaves_out_is_what_it_was_and_null_is_nothing() {
        let life = life(&[
            r#"{"id":"u","displayName":"Anna Meyer","userPrincipalName":"anna@x","mail":"a@x","otherMails":["b@x",null,""],
                "businessPhones":["+49 (0)89 123456","12"],"mobilePhone":"0171 1234567","accountEnabled":true,"department":"Sales"}"#,
            r#"{"id":"u","displayName":"Anna Schmidt","mail":null}"#,
            r#"{"id":"u","@removed":{"reason":"changed"}}"#,
            r#"{"id":"u","otherMails":[],"accountEnabled":false}"#,
            r#"{"id":"u","@removed":{"reason":"deleted"}}"#,
        ]);
        let names: Vec<_> = life.iter().map(|person| person.display_name.as_deref().unwrap()).collect();
        assert_eq!(names, ["Anna Meyer", "Anna Schmidt", "Anna Schmidt", "Anna Schmidt", "Anna Schmidt"]);
        let mails: Vec<_> = life.iter().map(|person| person.mails().collect::<Vec<_>>()).collect();
        assert_eq!(mails, [vec!["a@x", "b@x"], vec!["b@x"], vec!["b@x"], vec![], vec![]]);
        let removed: Vec<_> = life.iter().map(|person| person.removed.as_deref()).collect();
        assert_eq!(removed, [None, None, Some("changed"), None, Some("deleted")]);
        assert_eq!(life.iter().map(|person| person.seen.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert_eq!(life[4].plain_numbers().collect::<Vec<_>>(), ["+4989123456", "1711234567"]);
        assert_eq!((life[0].account_enabled, life[4].account_enabled), (Some(true), Some(false)));
        assert_eq!((life[4].id.as_deref(), life[4].department.as_deref()), (Some("u"), Some("Sales")));
    }

    #[test]
    fn odd_members_read_as_nothing_and_hurt_no_other() {
        let saying = said(
            7,
            r#"{"id":5,"businessPhones":"+49","otherMails":{"a":1},"displayName":[],"mail":"m@x","@removed":{}}"#,
        );
        assert_eq!((saying.id.as_deref(), saying.removed.as_deref()), (Some("5"), Some("changed")));
        let person = person(&saying, None);
        assert_eq!((person.display_name, person.business_phones, person.mail.as_deref()), (None, vec![], Some("m@x")));
    }

    proptest! {
        #[test]
        fn no_text_whatever_makes_it_panic(text in any::<String>()) {
            let _ = person(&said(0, &text), None);
        }
    }
}
