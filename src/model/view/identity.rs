//! Views of who: identity sets old and new, and the participants that wrap them.

use crate::model::view::{Field, Object, Order, Reader, leaf::Leaf, view};

view! {
    /// `organizer_v2` or an element of `participants_v2`.
    pub struct Participant<'a> {
        /// May repeat inside one record although the identities differ.
        id: Leaf<'a> = "id",
        identity: Option<IdentitySet<'a>> = "identity",
        administrative_unit_infos: Vec<AdministrativeUnit<'a>> = "administrativeUnitInfos",
    }
}

view! {
    pub struct AdministrativeUnit<'a> {
        id: Leaf<'a> = "id",
    }
}

view! {
    /// An open type; these are the members documented or seen.
    pub struct Identity<'a> {
        odata_type: Leaf<'a> = "@odata.type",
        id: Leaf<'a> = "id",
        display_name: Leaf<'a> = "displayName",
        tenant_id: Leaf<'a> = "tenantId",
        user_principal_name: Leaf<'a> = "userPrincipalName",
        email: Leaf<'a> = "email",
        hidden: Leaf<'a> = "hidden",
        application_type: Leaf<'a> = "applicationType",
        azure_communication_services_resource_id: Leaf<'a> = "azureCommunicationServicesResourceId",
        ip_address: Leaf<'a> = "ipAddress",
    }
}

impl Identity<'_> {
    /// Whether it names anybody: objects with nothing but nulls occur.
    #[must_use]
    pub fn says_who(&self) -> bool {
        [self.id, self.display_name, self.user_principal_name, self.email].iter().any(|leaf| leaf.text().is_some())
    }
}

/// An identity set of either generation: an open type with one member that is not null, as a rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IdentitySet<'a> {
    pub endpoint_type: Leaf<'a>,
    /// The first member that is an object, and the key under which it stood.
    pub identity: Option<(String, Identity<'a>)>,
}

/// Members of `identitySet` and `communicationsIdentitySet`, and those that were only ever seen.
const SET_KEYS: [&str; 16] = [
    "endpointType",
    "user",
    "application",
    "device",
    "applicationInstance",
    "assertedIdentity",
    "azureCommunicationServicesUser",
    "encrypted",
    "guest",
    "onPremises",
    "phone",
    "acsUser",
    "spoolUser",
    "acsApplicationInstance",
    "spoolApplicationInstance",
    "azureApplicationInstance",
];
const ENDPOINT_TYPE: usize = 0;

impl<'a> Object<'a> for IdentitySet<'a> {
    fn read_members(&mut self, reader: &mut Reader<'a>) {
        static ORDER: Order = Order::of(&SET_KEYS);
        reader.members_of(&ORDER, |reader, place, key| match place {
            Some(ENDPOINT_TYPE) => self.endpoint_type.read(reader),
            None if key.contains('@') => reader.skip_unknown(key),
            _ if self.identity.is_none() && reader.peek() == Some(b'{') => {
                let (_, identity) = self.identity.insert((key.to_owned(), Identity::default()));
                identity.read_members(reader);
                reader.count_unknown(u32::from(place.is_none()));
            }
            Some(_) => drop(reader.skip()),
            None => reader.skip_unknown(key),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::view::read;

    #[test]
    fn the_first_key_with_an_object_is_the_identity_known_or_not() {
        let set = |text| {
            let (set, unknown) = read::<IdentitySet>(text);
            let (key, identity) = set.unwrap().identity.unwrap_or_default();
            (key, identity.id.owned().unwrap_or_default(), unknown)
        };
        let found = |key: &str, id: &str, unknown| (key.to_owned(), id.to_owned(), unknown);
        assert_eq!(set(r#"{"endpointType":"default","user":null,"guest":{"id":"g"}}"#), found("guest", "g", 0));
        assert_eq!(
            set(r#"{"@odata.type":"x","user":"odd","phone":{"id":"+1"},"user":{"id":"u"}}"#),
            found("phone", "+1", 0)
        );
        assert_eq!(set(r#"{"robot":{"id":"r","model":7},"user":null,"later":null}"#), found("robot", "r", 3));
        assert_eq!(set(r#"{"user":null,"phone":null}"#), found("", "", 0));
    }
}
