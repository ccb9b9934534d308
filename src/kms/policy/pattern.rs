//! Wildcards and policy variables.
//!
//! `*` is any run of characters, `?` any one. `${key}` stands for the value of a condition key,
//! `${key, 'default'}` has a fallback, `${*}`, `${?}` and `${$}` are these characters themselves.
//! What a variable brings in is taken literally: a user cannot widen a policy by a name with a
//! star in it. A variable without value makes the pattern match nothing.

use super::eval::{Context, ContextValue};
use crate::kms::error::PolicyMistake;

/// A compiled text of a policy.
#[derive(Debug)]
pub struct Pattern {
    parts: Vec<Part>,
    fold_case: bool,
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
        Ok(Pattern { parts, fold_case: syntax.fold_case })
    }

    /// Whether `text` matches; `context` gives variables their values.
    pub fn matches(&self, text: &str, context: &Context) -> bool {
        let Some(tokens) = self.tokens(context) else { return false };
        glob(&tokens, &self.chars(text))
    }

    /// The same for ARNs: the first five colon-separated fields match each for itself, so that
    /// a wildcard cannot run over a colon there.
    pub fn matches_arn(&self, arn: &str, context: &Context) -> bool {
        let Some(tokens) = self.tokens(context) else { return false };
        let text = self.chars(arn);
        let pattern: Vec<&[Token]> = tokens.splitn(6, |t| *t == Token::Char(':')).collect();
        let fields: Vec<&[char]> = text.splitn(6, |c| *c == ':').collect();
        pattern.len() == 6
            && fields.len() == 6
            && pattern.iter().zip(&fields).all(|(p, f)| glob(p, f))
    }

    /// The text that the pattern stands for, for operators that compare values and not shapes.
    /// `None` when a variable has no value.
    pub fn literal(&self, context: &Context) -> Option<String> {
        let tokens = self.tokens(context)?;
        Some(
            tokens
                .iter()
                .map(|token| match token {
                    Token::Char(c) => *c,
                    Token::AnyRun => '*',
                    Token::AnyOne => '?',
                })
                .collect(),
        )
    }

    fn chars(&self, text: &str) -> Vec<char> {
        if self.fold_case { text.chars().map(fold).collect() } else { text.chars().collect() }
    }

    fn tokens(&self, context: &Context) -> Option<Vec<Token>> {
        let mut tokens = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            match part {
                Part::Token(token) => tokens.push(*token),
                Part::Variable { key, default } => {
                    let value = match (context.get(key), default) {
                        (Some(ContextValue::One(value)), _) => value,
                        (None, Some(default)) => default,
                        _ => return None,
                    };
                    tokens.extend(self.chars(value).into_iter().map(Token::Char));
                }
            }
        }
        Some(tokens)
    }
}

fn fold(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
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
fn glob(pattern: &[Token], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while let Some(&c) = text.get(t) {
        match pattern.get(p) {
            Some(Token::AnyRun) => {
                retry = Some((p, t));
                p += 1;
            }
            Some(Token::AnyOne) => {
                p += 1;
                t += 1;
            }
            Some(Token::Char(want)) if *want == c => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((star, taken)) => {
                    retry = Some((star, taken + 1));
                    p = star + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|token| *token == Token::AnyRun)
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
