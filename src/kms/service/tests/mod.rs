//! The service over a store in memory: every action allowed, denied, with bad input, and in each
//! key state.

mod actions;
mod bodies;
mod cache;
mod delegation;
mod filesystem;
mod grants;
mod import;
mod keystores;
mod memory;
mod moments;
mod records;
mod regions;
mod roles;
mod rotation;
mod states;
mod volumes;
mod wording;

use serde_json::{Value, json};

use super::{Parts, RotationRules, Service};
use crate::clock::{ManualClock, Millis};
use crate::kms::api::{Action, Request};
use crate::kms::audit::{ChainState, Trail};
use crate::kms::caller::{CallerContext, Principal, Source};
use crate::kms::error::KmsError;
use crate::kms::id::AccountId;
use crate::kms::keystore;
use crate::kms::limits::Limits;
use crate::secret::Secret;
use crate::sync::Arc;
use memory::{Log, Memory, OpenCustody};

/// A service with one administrator, `admin`.
struct World {
    service: Service,
    store: Memory,
    log: Log,
    clock: Arc<ManualClock>,
}

impl crate::clock::Clock for Arc<ManualClock> {
    fn now(&self) -> Millis {
        ManualClock::now(self)
    }
}

fn account() -> AccountId {
    "111122223333".parse().unwrap()
}

impl World {
    fn new() -> World {
        World::over(Memory::default())
    }

    /// A service over a store that is there.
    fn over(store: Memory) -> World {
        World::with(store, Limits::default())
    }

    fn with_limits(limits: Limits) -> World {
        World::with(Memory::default(), limits)
    }

    fn with(store: Memory, limits: Limits) -> World {
        World::behind(store, limits, Box::new(keystore::Nothing))
    }

    fn behind(store: Memory, limits: Limits, backings: Box<dyn keystore::Backings>) -> World {
        let log = Log::default();
        let clock = Arc::new(ManualClock::new(Millis(1_800_000_000_000)));
        let service = Service::new(Parts {
            account: account(),
            region: "local-1".parse().unwrap(),
            administrators: vec!["arn:aws:iam::111122223333:user/admin".into()],
            store: Box::new(store.clone()),
            custody: Box::new(OpenCustody),
            backings,
            trail: Trail::new(Box::new(log.clone()), Secret::new([1; 32]), ChainState::START),
            clock: Box::new(clock.clone()),
            marker_key: Secret::new([2; 32]),
            limits,
            rotation: RotationRules { day: 86_400_000, most_wraps: 1000 },
        });
        let service = service.unwrap();
        service.recall_wraps().unwrap();
        World { service, store, log, clock }
    }

    fn user(name: &str) -> CallerContext {
        let source = Source::Unix { uid: 1000, gid: 1000, pid: 1 };
        CallerContext::direct(Principal::user(&account(), name), source)
    }

    /// A request as it would come over the wire, and the reply as it would go back.
    fn ask(&self, who: &str, action: &str, body: &Value) -> Result<Value, KmsError> {
        self.ask_as(&World::user(who), action, body)
    }

    fn ask_as(&self, who: &CallerContext, action: &str, body: &Value) -> Result<Value, KmsError> {
        let action = Action::from_name(action).unwrap();
        let request = Request::from_json(action, body.to_string().as_bytes())?;
        let reply = self.service.handle(who, request)?.to_json()?;
        if reply.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&reply).unwrap()) }
    }

    fn admin(&self, action: &str, body: &Value) -> Value {
        self.ask("admin", action, body).unwrap()
    }

    fn key(&self) -> String {
        let made = self.admin("CreateKey", &json!({}));
        made["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
    }

    fn records(&self) -> Vec<Value> {
        self.log.lock().text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn last_record(&self) -> Value {
        self.records().pop().unwrap()
    }
}

fn error_name(result: Result<Value, KmsError>) -> &'static str {
    result.expect_err("it was allowed").name()
}
