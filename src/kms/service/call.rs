//! One request on its way through the service: who asks, and what the record will say.

use serde::Serialize;
use serde_json::Value;

use super::Service;
use crate::kms::api::types::EncryptionContext;
use crate::kms::audit::Record;
use crate::kms::audit::record::Subject;
use crate::kms::authz::{
    self, Asker, Authorized, Permission, Plain, Target, add_encryption, add_key, caller_context,
};
use crate::kms::caller::CallerContext;
use crate::kms::error::KmsError;
use crate::kms::id::AccountId;
use crate::kms::key::Key;
use crate::kms::policy::{Context, Policy, identity_policy};
use crate::sync::Arc;

/// A request under way.
pub(super) struct Call<'a> {
    service: &'a Service,
    /// Who asks.
    pub caller: &'a CallerContext,
    /// `eventSource` of the record.
    pub source: &'static str,
    name: &'static str,
    read_only: bool,
    subject: Subject,
    identity: Option<Vec<Arc<Policy>>>,
}

impl<'a> Call<'a> {
    pub fn new(
        service: &'a Service,
        caller: &'a CallerContext,
        name: &'static str,
        read_only: bool,
    ) -> Call<'a> {
        let source = "kms.amazonaws.com";
        let subject = Subject::default();
        Call { service, caller, source, name, read_only, subject, identity: None }
    }

    /// The action's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The caller's account, in which he makes and finds things; a service has none and acts in
    /// the one that the service is for.
    pub fn account(&self) -> &'a AccountId {
        self.caller.principal.account().unwrap_or(&self.service.account)
    }

    /// A `requestParameters` member of the record.
    pub fn parameter(&mut self, name: &'static str, value: impl Serialize) {
        self.subject.parameters.set(name, value);
    }

    /// An encryption context, shown under `name` unless it is empty.
    pub fn encryption(&mut self, name: &'static str, pairs: &EncryptionContext) {
        if !pairs.is_empty() {
            self.parameter(name, pairs);
        }
    }

    /// An `additionalEventData` member of the record.
    pub fn additional(&mut self, name: &'static str, value: impl Serialize) {
        self.subject.additional.set(name, value);
    }

    /// What the record shows as `responseElements`.
    pub fn response(&mut self, value: Value) {
        self.subject.response = Some(value);
    }

    /// A key or alias that the request is about.
    pub fn resource(&mut self, arn: &str) {
        if !self.subject.resources.iter().any(|known| known == arn) {
            self.subject.resources.push(arn.to_owned());
        }
    }

    /// The condition keys of this request, before those of its key.
    pub fn context(&self) -> Context {
        caller_context(self.caller, &self.service.region, self.service.now())
    }

    /// Decides `A` on a key.
    pub fn may_on_key<A: Permission>(
        &mut self,
        key: &Arc<Key>,
        alias: Option<&str>,
        encryption: Option<&EncryptionContext>,
        extend: impl FnOnce(&mut Context),
    ) -> Result<Authorized<A>, KmsError> {
        let mut context = Context::new();
        // Most policies ask for nothing, and establishing it all takes longer than deciding.
        if key.policy.conditional || self.identity()?.iter().any(|policy| policy.conditional) {
            context = self.context();
            add_key(&mut context, key);
            if let Some(alias) = alias {
                context.one("kms:RequestAlias", alias);
            }
            if let Some(pairs) = encryption {
                add_encryption(&mut context, pairs);
                context.one("kms:EncryptionAlgorithm", "SYMMETRIC_DEFAULT");
            }
        }
        // What the action itself says: the filesystem's own rule asks for it beside all policies.
        extend(&mut context);
        self.decide(key.clone(), &context, encryption)
    }

    /// Decides `A` on something that identity policies alone decide about.
    pub fn may<A: Permission>(
        &mut self,
        resource: &str,
        extend: impl FnOnce(&mut Context),
    ) -> Result<Authorized<A, Plain>, KmsError> {
        let mut context = self.context();
        extend(&mut context);
        let owner = self.account().clone();
        self.decide(Plain { owner, resource: resource.to_owned() }, &context, None)
    }

    /// Decides `A` on something that carries its own policy and is no key.
    pub fn decide<A: Permission, T: Target>(
        &mut self,
        target: T,
        context: &Context,
        encryption: Option<&EncryptionContext>,
    ) -> Result<Authorized<A, T>, KmsError> {
        let (caller, now) = (self.caller, self.service.now());
        let narrowing = caller.session.as_ref().and_then(|session| session.policy.as_deref());
        // It was accepted when the session began.
        let session = narrowing.map(identity_policy).transpose()?;
        let asker = Asker { caller, identity: self.identity()?, session: session.as_ref(), now };
        let decision = authz::decide(asker, target, context, encryption);
        if decision.as_ref().is_ok_and(Authorized::learned) {
            self.additional("wouldDeny", true);
        }
        decision
    }

    /// The identity policies of the caller, looked up once.
    fn identity(&mut self) -> Result<&[Arc<Policy>], KmsError> {
        if self.identity.is_none() {
            self.identity = Some(self.service.identity_policies(&self.caller.principal)?);
        }
        Ok(self.identity.as_deref().unwrap_or_default())
    }

    /// The same request for a second record.
    pub fn clone_head(&self) -> Call<'a> {
        Call {
            service: self.service,
            caller: self.caller,
            source: self.source,
            name: self.name,
            read_only: self.read_only,
            subject: Subject {
                parameters: self.subject.parameters.clone(),
                resources: self.subject.resources.clone(),
                ..Subject::default()
            },
            identity: None,
        }
    }

    /// The record of the request and its end.
    pub fn into_record(self, failure: Option<&KmsError>) -> Record {
        let account = self.account();
        let mut subject = self.subject;
        if failure.is_some() {
            subject.response = None;
        }
        Record::call(
            self.caller,
            account,
            &self.service.region,
            self.service.now(),
            self.source,
            self.name,
            self.read_only,
            subject,
            failure,
        )
    }
}
