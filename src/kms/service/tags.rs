//! The actions on labels.

use super::Service;
use super::call::Call;
use super::front::Done;
use super::keys::{MAX_TAGS, changed, checked_tags, unmanaged};
use super::lookup::{Named, Naming};
use crate::kms::api::{
    ListResourceTagsReply, ListResourceTagsRequest, Nothing, Reply, Tag, TagResourceRequest,
    UntagResourceRequest,
};
use crate::kms::authz::{Authorized, may};
use crate::kms::error::{KmsError, TagFault};
use crate::kms::key::Gate;

impl Service {
    pub(super) fn tag_resource(
        &self,
        call: &mut Call<'_>,
        r: &TagResourceRequest,
    ) -> Result<Done<Reply>, KmsError> {
        call.parameter("keyId", r.key_id.as_str());
        let Named { key, .. } = self.named(&call.caller.principal, &r.key_id, Naming::KeyOnly)?;
        call.resource(&key.arn);
        let ok = call.may_on_key::<may::TagResource>(&key, None, None, |context| {
            for tag in &r.tags {
                context.one(format!("aws:RequestTag/{}", tag.tag_key), &tag.tag_value);
            }
            context.many("aws:TagKeys", r.tags.iter().map(|t| t.tag_key.clone()).collect());
        })?;
        unmanaged(&key)?;
        let new = checked_tags(&r.tags)?;
        key.admits(Gate::Annotate)?;
        let mut tags = key.record.tags.clone();
        for (name, value) in new {
            match tags.iter_mut().find(|(known, _)| *known == name) {
                Some((_, old)) => *old = value,
                None => tags.push((name, value)),
            }
        }
        if tags.len() > MAX_TAGS {
            return Err(KmsError::Tag(TagFault::TooMany));
        }
        let changes = changed(&ok, |record| record.tags = tags);
        Done::change(Reply::TagResource(Nothing), changes)
    }

    pub(super) fn untag_resource(
        &self,
        call: &mut Call<'_>,
        r: &UntagResourceRequest,
    ) -> Result<Done<Reply>, KmsError> {
        call.parameter("keyId", r.key_id.as_str());
        let Named { key, .. } = self.named(&call.caller.principal, &r.key_id, Naming::KeyOnly)?;
        call.resource(&key.arn);
        let ok = call.may_on_key::<may::UntagResource>(&key, None, None, |context| {
            context.many("aws:TagKeys", r.tag_keys.clone());
        })?;
        unmanaged(&key)?;
        key.admits(Gate::Annotate)?;
        let changes = changed(&ok, |record| {
            record.tags.retain(|(name, _)| !r.tag_keys.contains(name));
        });
        Done::change(Reply::UntagResource(Nothing), changes)
    }

    pub(super) fn list_resource_tags(
        &self,
        call: &mut Call<'_>,
        r: &ListResourceTagsRequest,
    ) -> Result<Done<Reply>, KmsError> {
        call.parameter("keyId", r.key_id.as_str());
        let Named { key, .. } = self.named(&call.caller.principal, &r.key_id, Naming::KeyOnly)?;
        call.resource(&key.arn);
        let ok: Authorized<may::ListResourceTags> = call.may_on_key(&key, None, None, |_| {})?;
        let list = format!("tags/{}", key.id());
        let page = self.page_of(
            &list,
            r.marker.as_deref(),
            r.page()?,
            ok.into_target().record.tags.clone(),
            |(name, _)| name.clone(),
        )?;
        let tags = page
            .entries
            .into_iter()
            .map(|(tag_key, tag_value)| Tag { tag_key, tag_value })
            .collect();
        let (next_marker, truncated) = (page.next_marker, page.truncated);
        Done::read(Reply::ListResourceTags(ListResourceTagsReply { tags, next_marker, truncated }))
    }
}
