//! Conditions: `{operator: {key: values}}`.
//!
//! Values are compiled when the policy is put, so comparing cannot find the policy malformed.
//! A request value of the wrong kind is an [`Incomparable`], which never allows and always lets
//! a Deny apply.

use std::cmp::Ordering;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::eval::{Context, ContextValue};
use super::pattern::{Pattern, Syntax};
use crate::kms::error::PolicyMistake;

/// One operator on one key.
#[derive(Debug)]
pub struct Condition {
    /// As written, for whoever is told why it does not hold.
    operator: String,
    /// Lower case.
    key: String,
    test: Test,
    set: Set,
    if_exists: bool,
}

/// How the values of a multi-valued key count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    None,
    All,
    Any,
}

#[derive(Debug)]
enum Test {
    Null(Vec<bool>),
    Compare { comparison: Comparison, negated: bool },
}

#[derive(Debug)]
enum Comparison {
    Text(Vec<Pattern>),
    Arn(Vec<Pattern>),
    Number(Order, Vec<f64>),
    Date(Order, Vec<i64>),
    Bool(Vec<bool>),
    Binary(Vec<Vec<u8>>),
    Ip(Vec<Network>),
}

#[derive(Clone, Copy, Debug)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug)]
struct Network {
    address: IpAddr,
    prefix: u8,
}

/// A request value that the operator cannot compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incomparable;

impl Condition {
    /// Compiles `operator` on `key` with `values`; `variables` under version 2012-10-17.
    pub fn parse(
        operator: &str,
        key: &str,
        values: &[String],
        variables: bool,
    ) -> Result<Condition, PolicyMistake> {
        let (set, rest) = match operator.split_once(':') {
            None => (Set::None, operator),
            Some((set, rest)) if set.eq_ignore_ascii_case("ForAllValues") => (Set::All, rest),
            Some((set, rest)) if set.eq_ignore_ascii_case("ForAnyValue") => (Set::Any, rest),
            Some(_) => return Err(PolicyMistake::Operator),
        };
        let lower = rest.to_ascii_lowercase();
        let (name, if_exists) = match lower.strip_suffix("ifexists") {
            Some(name) => (name, true),
            None => (lower.as_str(), false),
        };
        let key = key.to_lowercase();
        let single =
            key.starts_with("kms:encryptioncontext:") || key.starts_with("aws:requesttag/");
        if set == Set::All && single {
            return Err(PolicyMistake::OverPermissive);
        }
        if name == "null" {
            // Null asks for existence itself: IfExists adds nothing and AWS refuses it.
            if if_exists {
                return Err(PolicyMistake::Operator);
            }
            let test = Test::Null(each(values, boolean)?);
            return Ok(Condition { operator: operator.to_owned(), key, test, set, if_exists });
        }
        let (comparison, negated) = comparison(name, values, variables)?;
        let test = Test::Compare { comparison, negated };
        Ok(Condition { operator: operator.to_owned(), key, test, set, if_exists })
    }

    /// The operator as it was written.
    pub fn operator(&self) -> &str {
        &self.operator
    }

    /// The condition key, in lower case.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Every condition key, in lower case, that the outcome depends on.
    pub fn depends_on(&self) -> impl Iterator<Item = &str> {
        let patterns = match &self.test {
            Test::Compare { comparison: Comparison::Text(p) | Comparison::Arn(p), .. } => {
                p.as_slice()
            }
            _ => &[],
        };
        std::iter::once(self.key.as_str()).chain(patterns.iter().flat_map(Pattern::variables))
    }

    /// When its outcome may change though nothing else does: milliseconds since 1970. The time of
    /// a request has whole seconds, so a second later counts as well.
    pub fn moments(&self) -> Vec<i64> {
        if !matches!(self.key.as_str(), "aws:currenttime" | "aws:epochtime") {
            return Vec::new();
        }
        let Test::Compare { comparison, .. } = &self.test else { return Vec::new() };
        let at: Vec<i64> = match comparison {
            Comparison::Date(_, dates) => dates.clone(),
            // A float becomes the nearest that fits: far away is far away.
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a cast of a float stays within bounds"
            )]
            Comparison::Number(_, seconds) => seconds.iter().map(|s| (s * 1000.0) as i64).collect(),
            _ => Vec::new(),
        };
        at.into_iter().flat_map(|at| [at, at.saturating_add(1000)]).collect()
    }

    /// Whether it holds.
    pub fn holds(&self, context: &Context) -> Result<bool, Incomparable> {
        let values: Option<&[String]> = match context.get(&self.key) {
            None => None,
            Some(ContextValue::One(value)) => Some(std::slice::from_ref(value)),
            Some(ContextValue::Many(values)) => Some(values),
        };
        let (comparison, negated) = match &self.test {
            Test::Null(expected) => {
                let absent = values.is_none_or(<[String]>::is_empty);
                return Ok(expected.contains(&absent));
            }
            Test::Compare { comparison, negated } => (comparison, *negated),
        };
        let values = values.unwrap_or_default();
        if values.is_empty() {
            return Ok(match self.set {
                Set::All => true,
                Set::Any => self.if_exists,
                Set::None => negated || self.if_exists,
            });
        }
        let mut any = false;
        let mut all = true;
        for value in values {
            let matched = comparison.any_matches(value, context)?;
            any |= matched != negated;
            all &= matched != negated;
        }
        Ok(match self.set {
            Set::All => all,
            Set::Any => any,
            // Without set operator a negated test on several values wants none to match.
            Set::None => {
                if negated {
                    all
                } else {
                    any
                }
            }
        })
    }
}

impl Comparison {
    fn any_matches(&self, value: &str, context: &Context) -> Result<bool, Incomparable> {
        Ok(match self {
            Comparison::Text(patterns) => patterns.iter().any(|p| p.matches(value, context)),
            Comparison::Arn(patterns) => patterns.iter().any(|p| p.matches_arn(value, context)),
            Comparison::Number(order, wanted) => {
                let value = number(value).map_err(|_| Incomparable)?;
                wanted.iter().any(|w| value.partial_cmp(w).is_some_and(|o| order.accepts(o)))
            }
            Comparison::Date(order, wanted) => {
                let value = date(value).map_err(|_| Incomparable)?;
                wanted.iter().any(|w| order.accepts(value.cmp(w)))
            }
            Comparison::Bool(wanted) => wanted.contains(&boolean(value).map_err(|_| Incomparable)?),
            Comparison::Binary(wanted) => {
                wanted.contains(&binary(value).map_err(|_| Incomparable)?)
            }
            Comparison::Ip(networks) => {
                let address: IpAddr = value.parse().map_err(|_| Incomparable)?;
                networks.iter().any(|n| n.contains(address))
            }
        })
    }
}

impl Order {
    fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Order::Equal => ordering == Ordering::Equal,
            Order::Less => ordering == Ordering::Less,
            Order::LessOrEqual => ordering != Ordering::Greater,
            Order::Greater => ordering == Ordering::Greater,
            Order::GreaterOrEqual => ordering != Ordering::Less,
        }
    }
}

impl Network {
    fn parse(text: &str) -> Result<Network, PolicyMistake> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| PolicyMistake::ConditionValue)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => most,
            Some(digits) => digits.parse().map_err(|_| PolicyMistake::ConditionValue)?,
        };
        if prefix > most {
            return Err(PolicyMistake::ConditionValue);
        }
        Ok(Network { address, prefix })
    }

    fn contains(&self, address: IpAddr) -> bool {
        let (ours, theirs, width) = match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                (u128::from(a.to_bits()), u128::from(b.to_bits()), 32)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
            // An IPv4 network says nothing about IPv6 addresses, and the other way round.
            _ => return false,
        };
        let free = width - u32::from(self.prefix);
        free >= 128 || (ours >> free) == (theirs >> free)
    }
}

fn comparison(
    name: &str,
    values: &[String],
    variables: bool,
) -> Result<(Comparison, bool), PolicyMistake> {
    let patterns = |wildcards: bool, fold_case: bool| {
        let syntax = Syntax { wildcards, variables, fold_case };
        values.iter().map(|v| Pattern::parse(v, syntax)).collect::<Result<Vec<_>, _>>()
    };
    let ordered = |name: &str| {
        Some(match name {
            "equals" => (Order::Equal, false),
            "notequals" => (Order::Equal, true),
            "lessthan" => (Order::Less, false),
            "lessthanequals" => (Order::LessOrEqual, false),
            "greaterthan" => (Order::Greater, false),
            "greaterthanequals" => (Order::GreaterOrEqual, false),
            _ => return None,
        })
    };
    Ok(match name {
        "stringequals" => (Comparison::Text(patterns(false, false)?), false),
        "stringnotequals" => (Comparison::Text(patterns(false, false)?), true),
        "stringequalsignorecase" => (Comparison::Text(patterns(false, true)?), false),
        "stringnotequalsignorecase" => (Comparison::Text(patterns(false, true)?), true),
        "stringlike" => (Comparison::Text(patterns(true, false)?), false),
        "stringnotlike" => (Comparison::Text(patterns(true, false)?), true),
        "arnequals" | "arnlike" => (Comparison::Arn(patterns(true, false)?), false),
        "arnnotequals" | "arnnotlike" => (Comparison::Arn(patterns(true, false)?), true),
        "bool" => (Comparison::Bool(each(values, boolean)?), false),
        "binaryequals" => (Comparison::Binary(each(values, binary)?), false),
        "ipaddress" => (Comparison::Ip(each(values, Network::parse)?), false),
        "notipaddress" => (Comparison::Ip(each(values, Network::parse)?), true),
        other => {
            if let Some((order, negated)) = other.strip_prefix("numeric").and_then(ordered) {
                (Comparison::Number(order, each(values, number)?), negated)
            } else if let Some((order, negated)) = other.strip_prefix("date").and_then(ordered) {
                (Comparison::Date(order, each(values, date)?), negated)
            } else {
                return Err(PolicyMistake::Operator);
            }
        }
    })
}

fn each<T>(
    values: &[String],
    parse: impl Fn(&str) -> Result<T, PolicyMistake>,
) -> Result<Vec<T>, PolicyMistake> {
    values.iter().map(|value| parse(value)).collect()
}

fn boolean(text: &str) -> Result<bool, PolicyMistake> {
    if text.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if text.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err(PolicyMistake::ConditionValue)
    }
}

fn number(text: &str) -> Result<f64, PolicyMistake> {
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    let value: f64 = text.parse().map_err(|_| PolicyMistake::ConditionValue)?;
    if plain && value.is_finite() { Ok(value) } else { Err(PolicyMistake::ConditionValue) }
}

fn binary(text: &str) -> Result<Vec<u8>, PolicyMistake> {
    STANDARD.decode(text).map_err(|_| PolicyMistake::ConditionValue)
}

/// Milliseconds since 1970 of an ISO date, a date and time, or epoch seconds.
fn date(text: &str) -> Result<i64, PolicyMistake> {
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1000).ok_or(PolicyMistake::ConditionValue);
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(at.as_millisecond());
    }
    let civil: jiff::civil::DateTime = text.parse().map_err(|_| PolicyMistake::ConditionValue)?;
    jiff::tz::Offset::UTC
        .to_timestamp(civil)
        .map(jiff::Timestamp::as_millisecond)
        .map_err(|_| PolicyMistake::ConditionValue)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(
        operator: &str,
        values: &[&str],
        given: Option<&[&str]>,
    ) -> Result<bool, Incomparable> {
        let mut context = Context::new();
        match given {
            Some([one]) => context.one("k:x", one),
            Some(many) => context.many("k:x", many.iter().map(|v| (*v).to_owned()).collect()),
            None => {}
        }
        let values: Vec<String> = values.iter().map(|v| (*v).to_owned()).collect();
        Condition::parse(operator, "K:X", &values, true).unwrap().holds(&context)
    }

    #[test]
    fn a_missing_key_fails_all_but_negated_and_if_exists() {
        assert_eq!(holds("StringEquals", &["a"], None), Ok(false));
        assert_eq!(holds("StringNotEquals", &["a"], None), Ok(true));
        assert_eq!(holds("StringEqualsIfExists", &["a"], None), Ok(true));
        assert_eq!(holds("ForAllValues:StringEquals", &["a"], None), Ok(true));
        assert_eq!(holds("ForAnyValue:StringEquals", &["a"], None), Ok(false));
        assert_eq!(holds("Null", &["true"], None), Ok(true));
        assert_eq!(holds("Null", &["true"], Some(&["a"])), Ok(false));
    }

    #[test]
    fn set_operators_take_each_value_in_turn() {
        let given: Option<&[&str]> = Some(&["a", "b"]);
        assert_eq!(holds("ForAllValues:StringEquals", &["a"], given), Ok(false));
        assert_eq!(holds("ForAnyValue:StringEquals", &["a"], given), Ok(true));
        assert_eq!(holds("ForAnyValue:StringNotEquals", &["a"], given), Ok(true));
        assert_eq!(holds("ForAllValues:StringNotEquals", &["c"], given), Ok(true));
    }

    #[test]
    fn dates_numbers_and_addresses_compare_by_value() {
        let now: Option<&[&str]> = Some(&["2026-05-01T00:00:00Z"]);
        assert_eq!(holds("DateLessThan", &["2026-05-01T00:00:01Z"], now), Ok(true));
        assert_eq!(holds("DateEquals", &["1777593600"], now), Ok(true));
        assert_eq!(holds("DateGreaterThan", &["2026-04-30"], now), Ok(true));
        assert_eq!(holds("NumericLessThanEquals", &["30"], Some(&["30.0"])), Ok(true));
        assert_eq!(holds("IpAddress", &["10.0.0.0/8"], Some(&["10.9.8.7"])), Ok(true));
        assert_eq!(holds("IpAddress", &["0.0.0.0/0"], Some(&["2001:db8::1"])), Ok(false));
        assert_eq!(holds("NotIpAddress", &["2001:db8::/32"], Some(&["2001:db8::1"])), Ok(false));
        assert_eq!(holds("IpAddress", &["::/0"], Some(&["2001:db8::1"])), Ok(true));
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_incomparable() {
        assert_eq!(holds("NumericEquals", &["1"], Some(&["one"])), Err(Incomparable));
        assert_eq!(holds("IpAddress", &["10.0.0.0/8"], Some(&["localhost"])), Err(Incomparable));
    }

    #[test]
    fn unknown_operators_and_unfit_values_are_refused() {
        for (operator, value, mistake) in [
            ("StringIs", "a", PolicyMistake::Operator),
            ("ForSome:StringEquals", "a", PolicyMistake::Operator),
            ("NullIfExists", "true", PolicyMistake::Operator),
            ("Bool", "yes", PolicyMistake::ConditionValue),
            ("NumericEquals", "inf", PolicyMistake::ConditionValue),
            ("DateEquals", "tomorrow", PolicyMistake::ConditionValue),
            ("IpAddress", "10.0.0.0/33", PolicyMistake::ConditionValue),
        ] {
            let got = Condition::parse(operator, "k:x", &[value.to_owned()], true);
            assert_eq!(got.unwrap_err(), mistake, "{operator}");
        }
        let values = ["a".to_owned()];
        let got =
            Condition::parse("ForAllValues:StringEquals", "kms:EncryptionContext:a", &values, true);
        assert_eq!(got.unwrap_err(), PolicyMistake::OverPermissive);
    }
}
