//! Page markers: opaque to callers, authenticated, and good for one list of one account.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Service;
use crate::crypto;
use crate::kms::error::KmsError;

const TAG: usize = 16;

impl Service {
    /// The marker of a page of `list` that ends with `last`.
    pub(super) fn marker(&self, list: &str, last: &str) -> String {
        let tag = self.marker_tag(list, last);
        let mut bytes = tag.to_vec();
        bytes.extend_from_slice(last.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The last entry before the page that `marker` asks for.
    pub(super) fn after_marker(
        &self,
        list: &str,
        marker: Option<&str>,
    ) -> Result<Option<String>, KmsError> {
        let Some(marker) = marker else { return Ok(None) };
        let bytes = URL_SAFE_NO_PAD.decode(marker).map_err(|_| KmsError::InvalidMarker)?;
        let (tag, last) = bytes.split_first_chunk::<TAG>().ok_or(KmsError::InvalidMarker)?;
        let last = std::str::from_utf8(last).map_err(|_| KmsError::InvalidMarker)?;
        if !crypto::same(&self.marker_tag(list, last), tag) {
            return Err(KmsError::InvalidMarker);
        }
        Ok(Some(last.to_owned()))
    }

    fn marker_tag(&self, list: &str, last: &str) -> [u8; TAG] {
        let account = self.account.as_str().as_bytes();
        let full = crypto::mac(&self.marker_key, &[list.as_bytes(), account, last.as_bytes()]);
        let mut tag = [0; TAG];
        for (to, from) in tag.iter_mut().zip(full) {
            *to = from;
        }
        tag
    }
}

/// Cuts a list that was asked for with one entry too many; whether there is more.
pub(super) fn cut<T>(entries: &mut Vec<T>, page: usize) -> bool {
    let more = entries.len() > page;
    entries.truncate(page);
    more
}

/// A page of a list that was there as a whole.
pub(super) struct Page<T> {
    pub entries: Vec<T>,
    pub next_marker: Option<String>,
    pub truncated: bool,
}

impl Service {
    /// Orders `all` by name and cuts out the page after `marker`. Stable under changes: a page
    /// begins after the last name of the one before, whether that is still there or not.
    pub(super) fn page_of<T>(
        &self,
        list: &str,
        marker: Option<&str>,
        page: usize,
        mut all: Vec<T>,
        name: impl Fn(&T) -> String,
    ) -> Result<Page<T>, KmsError> {
        let after = self.after_marker(list, marker)?;
        all.sort_by_key(|entry| name(entry));
        let mut entries: Vec<T> = all
            .into_iter()
            .filter(|entry| after.as_ref().is_none_or(|after| name(entry) > *after))
            .take(page.saturating_add(1))
            .collect();
        let truncated = cut(&mut entries, page);
        let last = entries.last().filter(|_| truncated);
        let next_marker = last.map(|last| self.marker(list, &name(last)));
        Ok(Page { entries, next_marker, truncated })
    }
}
