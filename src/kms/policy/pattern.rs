//! Wildcards and policy variables.
//!
//! `*` is any run of characters, `?` any one. `${key}` stands for the value of a condition key,
//! `${key, 'default'}` has a fallback, `${*}`, `${?}` and `${$}` are these characters themselves.
//! What a variable brings in is taken literally: a user cannot widen a policy by a name with a
//! star in it. A variable without value makes the pattern match nothing.

use std::str::Chars;

use super::eval::{Context, ContextValue};
use crate::kms::error::PolicyMistake;

/// A compiled text of a policy. Matching allocates nothing, unless there are variables in it.
#[derive(Debug)]
pub struct Pattern {
    shape: Shape,
    fold_case: bool,
}

#[derive(Debug)]
enum Shape {
    /// Without anything special in it; folded already where case does not count.
    Literal(Box<str>),
    Glob(Box<[Token]>),
    /// To be filled in for every request.
    Template(Vec<Part>),
}

/// What a pattern is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Token(Token),
    Variable { key: String, default: Option<String> },
}

/// One step of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    AnyRun,
    AnyOne,
}

/// Which of the special characters a text gives a meaning to.
#[derive(Clone, Copy, Debug)]
pub struct Syntax {
    /// `*` and `?`.
    pub wildcards: bool,
    /// `${...}`; only under language version 2012-10-17.
    pub variables: bool,
    /// Letters match in either case.
    pub fold_case: bool,
}

impl Pattern {
    /// Compiles `text`.
    pub fn parse(text: &str, syntax: Syntax) -> Result<Pattern, PolicyMistake> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if syntax.variables
                && let Some(after) = rest.strip_prefix("${")
            {
                let (inside, tail) = after.split_once('}').ok_or(PolicyMistake::Variable)?;
                parts.push(variable(inside)?);
                rest = tail;
                continue;
            }
            parts.push(Part::Token(match first {
                '*' if syntax.wildcards => Token::AnyRun,
                '?' if syntax.wildcards => Token::AnyOne,
                other => Token::Char(if syntax.fold_case { fold(other) } else { other }),
            }));
            rest = rest.get(first.len_utf8()..).unwrap_or("");
        }
        Ok(Pattern { shape: shape(parts), fold_case: syntax.fold_case })
    }

    /// Whether `text` matches; `context` gives variables their values.
    pub fn matches(&self, text: &str, context: &Context) -> bool {
        match &self.shape {
            Shape::Literal(wanted) if self.fold_case => text.chars().map(fold).eq(wanted.chars()),
            Shape::Literal(wanted) => **wanted == *text,
            Shape::Glob(tokens) => glob(tokens, text, self.fold_case),
            Shape::Template(parts) => {
                self.fill(parts, context).is_some_and(|tokens| glob(&tokens, text, self.fold_case))
            }
        }
    }

    /// The same for ARNs: the first five colon-separated fields match each for itself, so that
    /// a wildcard cannot run over a colon there.
    pub fn matches_arn(&self, arn: &str, context: &Context) -> bool {
        match &self.shape {
            Shape::Literal(wanted) => **wanted == *arn && arn.split(':').nth(5).is_some(),
            Shape::Glob(tokens) => self.fields_match(tokens, arn),
            Shape::Template(parts) => {
                self.fill(parts, context).is_some_and(|tokens| self.fields_match(&tokens, arn))
            }
        }
    }

    /// The condition keys, in lower case, that variables in it stand for.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let parts = match &self.shape {
            Shape::Template(parts) => parts.as_slice(),
            _ => &[],
        };
        parts.iter().filter_map(|part| match part {
            Part::Variable { key, .. } => Some(key.as_str()),
            Part::Token(_) => None,
        })
    }

    fn fields_match(&self, pattern: &[Token], arn: &str) -> bool {
        let mut wanted = pattern.splitn(ARN_FIELDS, |token| *token == Token::Char(':'));
        let mut given = arn.splitn(ARN_FIELDS, ':');
        let mut all = 0;
        loop {
            match (wanted.next(), given.next()) {
                (Some(wanted), Some(given)) if glob(wanted, given, self.fold_case) => all += 1,
                (None, None) => return all == ARN_FIELDS,
                _ => return false,
            }
        }
    }

    /// The tokens with the values of variables in place; `None` when one has no value.
    fn fill(&self, parts: &[Part], context: &Context) -> Option<Vec<Token>> {
        let mut tokens = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Part::Token(token) => tokens.push(*token),
                Part::Variable { key, default } => {
                    let value = match (context.get(key), default) {
                        (Some(ContextValue::One(value)), _) => value,
                        (None, Some(default)) => default,
                        _ => return None,
                    };
                    let chars = value.chars();
                    tokens.extend(
                        chars.map(|c| Token::Char(if self.fold_case { fold(c) } else { c })),
                    );
                }
            }
        }
        Some(tokens)
    }
}

/// Partition, service, Region, account and resource, after `arn`.
const ARN_FIELDS: usize = 6;

fn shape(parts: Vec<Part>) -> Shape {
    let tokens: Option<Vec<Token>> = parts
        .iter()
        .map(|part| match part {
            Part::Token(token) => Some(*token),
            Part::Variable { .. } => None,
        })
        .collect();
    let Some(tokens) = tokens else { return Shape::Template(parts) };
    let text: Option<String> = tokens
        .iter()
        .map(|token| match token {
            Token::Char(c) => Some(*c),
            Token::AnyRun | Token::AnyOne => None,
        })
        .collect();
    text.map_or_else(|| Shape::Glob(tokens.into()), |text| Shape::Literal(text.into()))
}

fn fold(c: char) -> char {
    if c.is_ascii() { c.to_ascii_lowercase() } else { c.to_lowercase().next().unwrap_or(c) }
}

fn variable(inside: &str) -> Result<Part, PolicyMistake> {
    if let "*" | "?" | "$" = inside {
        let c = inside.chars().next().ok_or(PolicyMistake::Variable)?;
        return Ok(Part::Token(Token::Char(c)));
    }
    let (key, default) = match inside.split_once(',') {
        None => (inside, None),
        Some((key, quoted)) => {
            let text = quoted
                .trim()
                .strip_prefix('\'')
                .and_then(|t| t.strip_suffix('\''))
                .ok_or(PolicyMistake::Variable)?;
            (key, Some(text.to_owned()))
        }
    };
    let key = key.trim();
    if key.is_empty() || key.contains(['$', '{', '\'']) || !key.contains(':') {
        return Err(PolicyMistake::Variable);
    }
    Ok(Part::Variable { key: key.to_lowercase(), default })
}

/// Greedy with one point to come back to: linear in practice, quadratic at worst, never deeper.
fn glob(pattern: &[Token], text: &str, fold_case: bool) -> bool {
    let mut rest = text.chars();
    let mut at = 0;
    // Where the pattern goes on after its last run, and where that run ends for now.
    let mut retry: Option<(usize, Chars<'_>)> = None;
    loop {
        if pattern.get(at) == Some(&Token::AnyRun) {
            at += 1;
            if at == pattern.len() {
                return true;
            }
            retry = Some((at, rest.clone()));
            continue;
        }
        let mut ahead = rest.clone();
        let Some(next) = ahead.next() else { return at == pattern.len() };
        let fits = match pattern.get(at) {
            Some(Token::AnyOne) => true,
            Some(Token::Char(wanted)) => *wanted == if fold_case { fold(next) } else { next },
            _ => false,
        };
        if fits {
            at += 1;
            rest = ahead;
            continue;
        }
        let Some((after, end)) = &mut retry else { return false };
        end.next();
        at = *after;
        rest = end.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Syntax = Syntax { wildcards: true, variables: true, fold_case: false };

    fn matches(pattern: &str, text: &str) -> bool {
        let mut context = Context::new();
        context.one("aws:username", "a*b");
        Pattern::parse(pattern, ALL).unwrap().matches(text, &context)
    }

    #[test]
    fn wildcards_match_runs_and_single_characters() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("a*c", "abbbc", true),
            ("a*c", "abbbd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*aab", "aaaab", true),
            ("", "", true),
            ("", "a", false),
            ("a*", "a", true),
            ("*b", "aab", true),
            ("*ab?", "abab", false),
            ("*ab?", "ababc", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} against {text}");
        }
    }

    #[test]
    fn the_value_of_a_variable_is_literal() {
        assert!(matches("x/${aws:username}", "x/a*b"));
        assert!(!matches("x/${aws:username}", "x/axxb"));
        assert!(matches("${*}", "*"));
        assert!(!matches("${*}", "x"));
    }

    #[test]
    fn a_variable_without_value_matches_nothing_but_its_default() {
        assert!(!matches("*${aws:userid}*", "anything"));
        assert!(matches("${aws:userid, 'none'}", "none"));
    }

    #[test]
    fn unclosed_variables_are_refused() {
        for bad in ["${", "${aws:username", "${}", "${a:b, x}", "${noservice}"] {
            assert_eq!(Pattern::parse(bad, ALL).unwrap_err(), PolicyMistake::Variable, "{bad}");
        }
    }

    #[test]
    fn a_star_in_an_arn_stops_at_the_colon() {
        let context = Context::new();
        let arn = "arn:aws:iam::111122223333:user/a:b";
        let like = |p: &str| Pattern::parse(p, ALL).unwrap().matches_arn(arn, &context);
        assert!(like("arn:aws:iam::*:user/*"));
        assert!(!like("arn:*:user/*"));
        assert!(!like("*"));
    }
}
