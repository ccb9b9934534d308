//! Policy documents from JSON: strict, bounded, and with the place of the first mistake.
//!
//! Read from the text itself and not from a JSON tree, because a tree would silently keep only
//! the last of two members of one name.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::ast::{AsksAbout, Effect, Part, Policy, PrincipalEntry, PrincipalPart, Statement};
use super::condition::Condition;
use super::pattern::{Pattern, Syntax};
use crate::kms::caller::Principal;
use crate::kms::error::{PolicyFault, PolicyMistake};
use crate::kms::id::AccountId;

/// Most bytes of a policy document.
pub const MAX_BYTES: usize = 32_768;
/// Deepest nesting that the grammar has is 5; anything deeper is refused before it is built.
const MAX_DEPTH: usize = 8;
const MAX_STATEMENTS: usize = 1024;

/// Compiles a key policy: every statement needs a principal.
pub fn key_policy(text: &str) -> Result<Policy, PolicyFault> {
    policy(text, Kind::Key)
}

/// Compiles an identity policy: no statement may name a principal.
pub fn identity_policy(text: &str) -> Result<Policy, PolicyFault> {
    policy(text, Kind::Identity)
}

/// Compiles the trust policy of a role: every statement needs a principal, and none names a
/// resource, which is the role.
pub fn trust_policy(text: &str) -> Result<Policy, PolicyFault> {
    policy(text, Kind::Trust)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Key,
    Identity,
    Trust,
}

fn policy(text: &str, kind: Kind) -> Result<Policy, PolicyFault> {
    let place = || String::from("document");
    if text.len() > MAX_BYTES {
        return Err(at(place(), PolicyMistake::TooMany));
    }
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{ff}');
    if !text.chars().all(allowed) {
        return Err(at(place(), PolicyMistake::Character));
    }
    let tree: Tree = serde_json::from_str(text).map_err(|_| at(place(), PolicyMistake::Json))?;
    let members = tree.object("document")?;
    known(members, "", &["Version", "Id", "Statement"])?;
    let variables = match find(members, "Version").map(|v| v.text("Version")).transpose()? {
        Some("2012-10-17") => true,
        None | Some("2008-10-17") => false,
        Some(_) => return Err(at("Version".into(), PolicyMistake::Version)),
    };
    if let Some(id) = find(members, "Id") {
        id.text("Id")?;
    }
    let list = find(members, "Statement")
        .ok_or_else(|| at("Statement".into(), PolicyMistake::Missing))?
        .one_or_many();
    if list.is_empty() {
        return Err(at("Statement".into(), PolicyMistake::Empty));
    }
    if list.len() > MAX_STATEMENTS {
        return Err(at("Statement".into(), PolicyMistake::TooMany));
    }
    let statements = list
        .iter()
        .enumerate()
        .map(|(i, tree)| statement(tree, &format!("Statement[{i}]"), kind, variables))
        .collect::<Result<_, _>>()?;
    Ok(Policy::new(statements))
}

fn statement(
    tree: &Tree,
    place: &str,
    kind: Kind,
    variables: bool,
) -> Result<Statement, PolicyFault> {
    let members = tree.object(place)?;
    known(
        members,
        &format!("{place}."),
        &[
            "Sid",
            "Effect",
            "Principal",
            "NotPrincipal",
            "Action",
            "NotAction",
            "Resource",
            "NotResource",
            "Condition",
        ],
    )?;
    let below = |name: &str| format!("{place}.{name}");
    let sid = match find(members, "Sid") {
        Some(sid) => Some(sid.text(&below("Sid"))?.to_owned()),
        None => None,
    };
    let effect = match find(members, "Effect") {
        None => return Err(at(below("Effect"), PolicyMistake::Missing)),
        Some(effect) => match effect.text(&below("Effect"))? {
            "Allow" => Effect::Allow,
            "Deny" => Effect::Deny,
            _ => return Err(at(below("Effect"), PolicyMistake::Effect)),
        },
    };
    let principal = principal_part(members, place, kind)?;
    let action = texts(members, place, "Action")?
        .map(|(negated, name, list)| action_part(negated, &below(name), &list))
        .transpose()?;
    let resource = match texts(members, place, "Resource")? {
        Some((_, name, _)) if kind == Kind::Trust => {
            return Err(at(below(name), PolicyMistake::NotInTrustPolicy));
        }
        Some((negated, name, list)) => {
            Some(resource_part(negated, &below(name), &list, variables)?)
        }
        None if kind == Kind::Trust => Some(resource_part(false, place, &["*".into()], false)?),
        None => None,
    };
    if kind != Kind::Key {
        // A key policy accepts a statement without these, though it then has no effect.
        if action.is_none() {
            return Err(at(below("Action"), PolicyMistake::Missing));
        }
        if resource.is_none() {
            return Err(at(below("Resource"), PolicyMistake::Missing));
        }
    }
    let conditions = match find(members, "Condition") {
        Some(tree) => conditions(tree, &below("Condition"), variables)?,
        None => Vec::new(),
    };
    let asks = AsksAbout::default();
    let read = Statement { sid, effect, principal, action, resource, conditions, asks };
    Ok(read.knowing_what_it_asks())
}

fn principal_part(
    members: &Members,
    place: &str,
    kind: Kind,
) -> Result<Option<PrincipalPart>, PolicyFault> {
    let (name, negated) = match (find(members, "Principal"), find(members, "NotPrincipal")) {
        (Some(_), Some(_)) => {
            return Err(at(format!("{place}.NotPrincipal"), PolicyMistake::Exclusive));
        }
        (Some(_), None) => ("Principal", false),
        (None, Some(_)) => ("NotPrincipal", true),
        (None, None) if kind == Kind::Identity => return Ok(None),
        (None, None) => return Err(at(format!("{place}.Principal"), PolicyMistake::Missing)),
    };
    let place = format!("{place}.{name}");
    if kind == Kind::Identity {
        return Err(at(place, PolicyMistake::NotInIdentityPolicy));
    }
    let tree = find(members, name).ok_or_else(|| at(place.clone(), PolicyMistake::Missing))?;
    if let Tree::Text(star) = tree {
        if star != "*" || negated {
            return Err(at(place, PolicyMistake::Principal));
        }
        return Ok(Some(PrincipalPart { negated, entries: vec![PrincipalEntry::Anyone] }));
    }
    let groups = tree.object(&place)?;
    known(groups, &format!("{place}."), &["AWS", "Service", "Federated"])?;
    let mut entries = Vec::new();
    for (group, list) in groups {
        let place = format!("{place}.{group}");
        for item in list.one_or_many() {
            let text = item.text(&place)?;
            let entry = match group.as_str() {
                "AWS" => aws_principal(text),
                "Service" => service_name(text),
                _ => None,
            };
            entries.push(entry.ok_or_else(|| at(place.clone(), PolicyMistake::Principal))?);
        }
    }
    if entries.is_empty() {
        return Err(at(place, PolicyMistake::Empty));
    }
    Ok(Some(PrincipalPart { negated, entries }))
}

fn aws_principal(text: &str) -> Option<PrincipalEntry> {
    if text == "*" {
        return Some(PrincipalEntry::Anyone);
    }
    if let Ok(account) = text.parse::<AccountId>() {
        return Some(PrincipalEntry::Account(account));
    }
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", "aws", service, "", account, resource] = parts.as_slice() else { return None };
    let account: AccountId = account.parse().ok()?;
    // A star inside an ARN would be no wildcard here; AWS refuses it rather than mislead.
    if resource.contains(['*', '?']) {
        return None;
    }
    match (*service, resource.split_once('/')) {
        ("iam", None) if *resource == "root" => Some(PrincipalEntry::Account(account)),
        ("iam", Some(("user", _))) => Principal::from_arn(text).ok().map(PrincipalEntry::Exact),
        ("iam", Some(("role", path))) => {
            let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
            Some(PrincipalEntry::Role { account, name: name.to_owned() })
        }
        ("sts", Some(("assumed-role", _))) => {
            Principal::from_arn(text).ok().map(PrincipalEntry::Exact)
        }
        ("sts", Some(("federated-user", name))) if !name.is_empty() => {
            Some(PrincipalEntry::Federated(text.to_owned()))
        }
        _ => None,
    }
}

fn service_name(text: &str) -> Option<PrincipalEntry> {
    let fits = text.contains('.')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
    fits.then(|| PrincipalEntry::Service(text.to_owned()))
}

fn action_part(negated: bool, place: &str, list: &[String]) -> Result<Part, PolicyFault> {
    let syntax = Syntax { wildcards: true, variables: false, fold_case: true };
    let patterns = list
        .iter()
        .map(|text| {
            let shaped = text == "*"
                || text.split_once(':').is_some_and(|(service, name)| {
                    let word = |w: &str| {
                        !w.is_empty()
                            && w.bytes().all(|b| b.is_ascii_alphanumeric() || b"*?-".contains(&b))
                    };
                    word(service) && word(name)
                });
            if !shaped {
                return Err(at(place.into(), PolicyMistake::Action));
            }
            Pattern::parse(text, syntax).map_err(|mistake| at(place.into(), mistake))
        })
        .collect::<Result<_, _>>()?;
    Ok(Part { negated, patterns })
}

fn resource_part(
    negated: bool,
    place: &str,
    list: &[String],
    variables: bool,
) -> Result<Part, PolicyFault> {
    let syntax = Syntax { wildcards: true, variables, fold_case: false };
    let patterns = list
        .iter()
        .map(|text| {
            if text != "*" && !text.starts_with("arn:") {
                return Err(at(place.into(), PolicyMistake::Resource));
            }
            Pattern::parse(text, syntax).map_err(|mistake| at(place.into(), mistake))
        })
        .collect::<Result<_, _>>()?;
    Ok(Part { negated, patterns })
}

fn conditions(tree: &Tree, place: &str, variables: bool) -> Result<Vec<Condition>, PolicyFault> {
    let mut all = Vec::new();
    for (operator, keys) in tree.object(place)? {
        let place = format!("{place}.{operator}");
        for (key, values) in keys.object(&place)? {
            let place = format!("{place}.{key}");
            let values = values
                .one_or_many()
                .iter()
                .map(|value| value.scalar(&place))
                .collect::<Result<Vec<String>, _>>()?;
            if values.is_empty() {
                return Err(at(place, PolicyMistake::Empty));
            }
            all.push(
                Condition::parse(operator, key, &values, variables)
                    .map_err(|mistake| at(place.clone(), mistake))?,
            );
        }
    }
    Ok(all)
}

/// The texts of `name` or of its negation, of which a statement may have but one.
#[expect(clippy::type_complexity, reason = "a private helper's three results")]
fn texts(
    members: &Members,
    place: &str,
    name: &'static str,
) -> Result<Option<(bool, &'static str, Vec<String>)>, PolicyFault> {
    let not = if name == "Action" { "NotAction" } else { "NotResource" };
    let (tree, negated, name) = match (find(members, name), find(members, not)) {
        (Some(_), Some(_)) => return Err(at(format!("{place}.{not}"), PolicyMistake::Exclusive)),
        (Some(tree), None) => (tree, false, name),
        (None, Some(tree)) => (tree, true, not),
        (None, None) => return Ok(None),
    };
    let place = format!("{place}.{name}");
    let list = tree
        .one_or_many()
        .iter()
        .map(|item| item.text(&place).map(str::to_owned))
        .collect::<Result<Vec<_>, _>>()?;
    if list.is_empty() {
        return Err(at(place, PolicyMistake::Empty));
    }
    Ok(Some((negated, name, list)))
}

fn at(place: String, what: PolicyMistake) -> PolicyFault {
    PolicyFault::At { place, what }
}

type Members = Vec<(String, Tree)>;

fn find<'a>(members: &'a Members, name: &str) -> Option<&'a Tree> {
    members.iter().find(|(n, _)| n == name).map(|(_, tree)| tree)
}

/// Refuses members that the grammar lacks, and members given twice.
fn known(members: &Members, prefix: &str, names: &[&str]) -> Result<(), PolicyFault> {
    for (i, (name, _)) in members.iter().enumerate() {
        let place = format!("{prefix}{name}");
        if !names.contains(&name.as_str()) {
            return Err(at(place, PolicyMistake::UnknownMember));
        }
        if members.iter().take(i).any(|(earlier, _)| earlier == name) {
            return Err(at(place, PolicyMistake::Duplicate));
        }
    }
    Ok(())
}

/// JSON with its members in order and all there, numbers as they were written.
#[derive(Debug)]
enum Tree {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Tree>),
    Object(Members),
}

impl Tree {
    fn object(&self, place: &str) -> Result<&Members, PolicyFault> {
        match self {
            Tree::Object(members) => Ok(members),
            _ => Err(at(place.into(), PolicyMistake::Type)),
        }
    }

    fn text(&self, place: &str) -> Result<&str, PolicyFault> {
        match self {
            Tree::Text(text) => Ok(text),
            _ => Err(at(place.into(), PolicyMistake::Type)),
        }
    }

    fn scalar(&self, place: &str) -> Result<String, PolicyFault> {
        match self {
            Tree::Text(text) => Ok(text.clone()),
            Tree::Bool(value) => Ok(value.to_string()),
            Tree::Number(value) => Ok(value.to_string()),
            _ => Err(at(place.into(), PolicyMistake::Type)),
        }
    }

    fn one_or_many(&self) -> &[Tree] {
        match self {
            Tree::List(items) => items,
            one => std::slice::from_ref(one),
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(TreeVisitor { depth: 0 })
    }
}

struct TreeVisitor {
    depth: usize,
}

impl<'de> de::DeserializeSeed<'de> for TreeVisitor {
    type Value = Tree;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a policy document")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Tree, E> {
        serde_json::Number::from_f64(value)
            .map(Tree::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let depth = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(TreeVisitor { depth })? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
        let depth = self.deeper()?;
        let mut members = Members::new();
        while let Some(name) = map.next_key()? {
            members.push((name, map.next_value_seed(TreeVisitor { depth })?));
        }
        Ok(Tree::Object(members))
    }
}

impl TreeVisitor {
    fn deeper<E: de::Error>(&self) -> Result<usize, E> {
        if self.depth >= MAX_DEPTH { Err(E::custom("nested too deep")) } else { Ok(self.depth + 1) }
    }
}
