//! The rules that request members obey, and AWS's way to say that one is broken.

use super::keys::Tag;
use super::types::EncryptionContext;
use crate::kms::error::{KmsError, Pattern, Violation};

/// Checks what can be checked on a request alone.
pub trait Validate {
    /// The first rule that is broken, or `Ok`.
    fn validate(&self) -> Result<(), KmsError>;
}

/// Longest key identifier of any form.
const KEY_ID_MAX: usize = 2048;
/// Longest alias name, prefix included.
const ALIAS_MAX: usize = 256;
/// Longest policy text that the request may carry; what may be stored is less.
const POLICY_TEXT_MAX: usize = 131_072;
/// How much of a text is repeated in the complaint about its length.
const SHOWN: usize = 1024;
/// Most bytes of keys and values in an encryption context.
const CONTEXT_MAX: usize = 8192;

/// The length of a key identifier; its form is the service's to resolve.
pub fn key_id(member: &str, id: &str) -> Result<(), KmsError> {
    text_len(member, id, 1, KEY_ID_MAX)
}

/// Characters, not bytes, as AWS counts them.
pub fn text_len(member: &str, text: &str, min: usize, max: usize) -> Result<(), KmsError> {
    let count = text.chars().count();
    let value = || text.chars().take(SHOWN).collect::<String>();
    if count < min {
        return Err(Violation::TooShort { member: member.into(), value: value(), min }.into());
    }
    if count > max {
        return Err(Violation::TooLong { member: member.into(), value: value(), max }.into());
    }
    Ok(())
}

/// Bytes of a blob, whose value is never repeated in a message.
pub fn bytes_len(member: &str, len: usize, min: usize, max: usize) -> Result<(), KmsError> {
    if len < min {
        return Err(Violation::TooFew { member: member.into(), min }.into());
    }
    if len > max {
        return Err(Violation::TooMany { member: member.into(), max }.into());
    }
    Ok(())
}

/// A number within bounds, as a length.
pub fn range(member: &str, value: i32, min: i32, max: i32) -> Result<usize, KmsError> {
    if value < min {
        return Err(Violation::TooSmall { member: member.into(), value, min }.into());
    }
    if value > max {
        return Err(Violation::TooLarge { member: member.into(), value, max }.into());
    }
    usize::try_from(value)
        .map_err(|_| Violation::TooSmall { member: member.into(), value, min: 0 }.into())
}

/// Entries per page.
pub fn limit(limit: Option<i32>, max: i32, default: usize) -> Result<usize, KmsError> {
    limit.map_or(Ok(default), |n| range("limit", n, 1, max))
}

/// The length of a page marker; its content is the service's to judge.
pub fn marker(marker: Option<&str>) -> Result<(), KmsError> {
    marker.map_or(Ok(()), |text| text_len("marker", text, 1, 1024))
}

/// At most ten tokens of at most 8192 characters.
pub fn grant_tokens(tokens: &[String]) -> Result<(), KmsError> {
    if tokens.len() > 10 {
        return Err(Violation::TooMany { member: "grantTokens".into(), max: 10 }.into());
    }
    tokens.iter().try_for_each(|token| text_len("grantTokens", token, 1, 8192))
}

/// `alias/` and 1 to 250 of the characters that AWS allows.
pub fn alias_name(name: &str) -> Result<(), KmsError> {
    text_len("aliasName", name, 1, ALIAS_MAX)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || ":/_-".contains(c);
    let rest = name.strip_prefix("alias/").ok_or(KmsError::AliasPrefix)?;
    if rest.is_empty() {
        return Err(KmsError::AliasPrefix);
    }
    if !rest.chars().all(allowed) {
        return Err(Violation::Pattern {
            member: "aliasName".into(),
            value: name.into(),
            pattern: Pattern::AliasName,
        }
        .into());
    }
    if rest.contains(':') {
        return Err(Violation::AliasCharacters { name: name.into() }.into());
    }
    if rest.starts_with("aws/") || rest == "aws" {
        return Err(KmsError::AliasReserved);
    }
    Ok(())
}

/// The size of an encryption context; every string is allowed.
pub fn context(member: &str, context: &EncryptionContext) -> Result<(), KmsError> {
    let size: usize =
        context.iter().map(|(key, value)| key.len().saturating_add(value.len())).sum();
    if size > CONTEXT_MAX {
        return Err(Violation::ContextTooBig { member: member.into(), max: CONTEXT_MAX }.into());
    }
    Ok(())
}

/// The lengths of labels.
pub fn tag_lengths(tags: &[Tag]) -> Result<(), KmsError> {
    for (tag, member) in tags.iter().zip(1usize..) {
        text_len(&format!("tags.{member}.member.tagKey"), &tag.tag_key, 1, 128)?;
        text_len(&format!("tags.{member}.member.tagValue"), &tag.tag_value, 0, 256)?;
    }
    Ok(())
}

/// The length of a policy in a request.
pub fn policy_text(member: &str, text: &str) -> Result<(), KmsError> {
    text_len(member, text, 1, POLICY_TEXT_MAX)
}
