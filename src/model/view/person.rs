//! View of a user, as the delta query of the directory tells of one.

use crate::model::view::{Field, Reader, leaf::Leaf, view};

view! {
    /// The members that are asked for. A user whom the query told of before may come with some of them only.
    pub struct User<'a> {
        id: Leaf<'a> = "id",
        display_name: Leaf<'a> = "displayName",
        user_principal_name: Leaf<'a> = "userPrincipalName",
        mail: Leaf<'a> = "mail",
        other_mails: Texts<'a> = "otherMails",
        department: Leaf<'a> = "department",
        business_phones: Texts<'a> = "businessPhones",
        mobile_phone: Leaf<'a> = "mobilePhone",
        account_enabled: Leaf<'a> = "accountEnabled",
        /// Stands where the user is in the directory no more.
        removed: Option<Removed<'a>> = "@removed",
    }
}

view! {
    pub struct Removed<'a> {
        /// `changed`: deleted, and may be brought back; `deleted`: for good.
        reason: Leaf<'a> = "reason",
    }
}

/// A collection of texts, which is something else when it is empty than when it was left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Texts<'a> {
    is_present: bool,
    items: Vec<Leaf<'a>>,
}

impl Texts<'_> {
    /// Its texts; `None` where the member does not stand in the row.
    #[must_use]
    pub fn owned(&self) -> Option<Vec<String>> {
        self.is_present.then(|| self.items.iter().filter_map(|leaf| leaf.owned()).collect())
    }
}

impl<'a> Field<'a> for Texts<'a> {
    fn read(&mut self, reader: &mut Reader<'a>) {
        self.is_present = true;
        self.items.read(reader);
    }
}
