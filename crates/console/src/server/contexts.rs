//! What each page is given, as types: `CONTEXT.md` says what they mean. Numbers are Rust's own.

mod account;
mod appeals;
mod common;
mod item;
mod looking;
mod metadata;
mod numbers;
mod queue;
mod verdict;

pub(super) use account::{LoginPage, MadeToken, TokenRow, TokensPage};
pub(super) use appeals::{Appeal, AppealPage, AppealRow, AppealsPage, Choice, DecidedAppeal};
pub(super) use common::{Can, Common, Form, Pending, Prefs, User, Whole};
pub(super) use item::{Assignee, Bytes, Crop, GonePage, Item, ItemPage, Known, Picture};
pub(super) use looking::{
    AuditEntry, AuditFilter, AuditPage, Filing, Found, HistoryAppeal, HistoryGeneration, HistoryLabel, HistoryPage,
    HistoryPolicy, HistoryReview, SearchPage,
};
pub(super) use numbers::NumbersPage;
pub(super) use queue::QueuePage;
pub(super) use verdict::{Evidence, Generation, KnownLabel};
