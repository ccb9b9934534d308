//! The policy engine against cases with known answers, the documented corner points, and a
//! second evaluator that shares no code with it.

mod agreement;
mod corners;
mod documented;
mod reference;
