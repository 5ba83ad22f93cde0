//! Votes, and their undoing.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use review::{Answer, Cast, NewVote, Refused, RefusedKind, ReviewGround};

use super::asked::Asked;
use super::audit::Did;
use super::contexts::Form;
use super::forms::Fields;
use super::links;
use super::outward::{self, see_other};
use super::refusal::Refusal;
use super::state::Console;

/// Of a comment, characters: as the page has it.
const MOST_COMMENT: usize = 1000;

#[derive(Serialize)]
pub(super) struct Taken {
    pub(super) vote: Uuid,
}

pub(super) async fn vote(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let item = asked.item()?;
    let (lease, vote) = (asked.form.id("lease")?, asked.form.id("vote")?);
    let (answer, ground, generator, comment) = match filled(&asked.form) {
        Ok(filled) => filled,
        Err(problem) => return Box::pin(again(console, asked, problem)).await,
    };
    let new = NewVote { item, lease, vote, answer, ground, generator, comment };
    match console.server.reviews.vote(&asked.caller()?, &new).await {
        Ok(cast) => taken(console, asked, &new, cast).await,
        Err(refused) if refused.kind() == RefusedKind::Invalid => {
            Box::pin(again(console, asked, refused.to_string())).await
        }
        Err(refused) => Err(not_taken(refused)),
    }
}

pub(super) async fn undo(console: &Console, asked: &Asked) -> Result<Response, Refusal> {
    let vote = asked.id()?;
    let claim = match console.server.reviews.undo(&asked.caller()?, vote).await {
        Ok(claim) => claim,
        Err(refused @ Refused::UndoTooLate) => {
            return Err(Refusal::from(refused)
                .title("It is too late to undo this vote.")
                .what("it has been counted")
                .mend("If it was wrong, tell a lead."));
        }
        Err(refused) => return Err(refused.into()),
    };
    let view = console.item(asked, claim.item).await?;
    console.record(asked, Did { detail: Some(json!({"vote": vote})), ..Did::to("undid", &view) }).await?;
    if asked.is_script() {
        return outward::json(&Taken { vote: Uuid::new_v4() });
    }
    see_other(&view.appeal.map_or_else(|| links::item(claim.item.0), links::appeal))
}

/// A vote that is in: written down, and answered.
pub(super) async fn taken(console: &Console, asked: &Asked, new: &NewVote, cast: Cast) -> Result<Response, Refusal> {
    if cast == Cast::New {
        let view = console.item(asked, new.item).await?;
        let detail = json!({"vote": new.vote, "answer": new.answer, "ground": new.ground, "generator": new.generator});
        console.record(asked, Did { detail: Some(detail), ..Did::to("voted", &view) }).await?;
    }
    if asked.is_script() {
        return outward::json(&Taken { vote: new.vote });
    }
    see_other(&console.next_address(asked).await?)
}

pub(super) fn not_taken(refused: Refused) -> Refusal {
    let refusal = Refusal::from(refused);
    match refusal.status {
        StatusCode::CONFLICT => refusal.title("Your vote was not taken.").link("/", "Back to the queue"),
        _ => refusal,
    }
}

/// The form once more, with what is wrong with it.
async fn again(console: &Console, asked: &Asked, problem: String) -> Result<Response, Refusal> {
    let problem = Refusal::invalid(problem);
    if asked.is_script() {
        return Err(problem);
    }
    let view = console.item(asked, asked.item()?).await?;
    if view.lease.is_none() {
        return Err(
            Refusal::conflict("your claim on it has ended, so nothing was recorded").link("/", "Back to the queue")
        );
    }
    let field = |name: &str| asked.form.owned(name);
    let form = Form {
        errors: vec![problem.words_of_it().into()],
        answer: field("answer"),
        ground: field("ground"),
        generator: field("generator"),
        comment: field("comment"),
        ..Form::default()
    };
    Box::pin(console.item_page(asked, &view, StatusCode::UNPROCESSABLE_ENTITY, form)).await
}

type Filled = (Answer, Option<ReviewGround>, Option<String>, Option<String>);

/// What was filled in, or what is missing.
fn filled(form: &Fields) -> Result<Filled, String> {
    let answer = form.get("answer").ok_or("choose an answer: real, synthetic or can’t tell")?;
    let answer = Answer::ALL.into_iter().find(|known| known.as_str() == answer);
    let answer = answer.ok_or("the answer is none that is known: choose real, synthetic or can’t tell")?;
    let ground = ground(form)?;
    if answer != Answer::CannotTell && ground.is_none() {
        return Err("choose the ground: why it is so, or by eye".into());
    }
    // Of what can't be told there is no ground, though a page may still have one ticked.
    let ground = ground.filter(|_| answer != Answer::CannotTell);
    let generator = form.owned("generator").filter(|_| answer == Answer::Synthetic);
    Ok((answer, ground, generator, comment_of(form, "comment")?))
}

pub(super) fn ground(form: &Fields) -> Result<Option<ReviewGround>, String> {
    let Some(given) = form.get("ground") else { return Ok(None) };
    let known = ReviewGround::ALL.into_iter().find(|known| known.as_str() == given);
    known.map(Some).ok_or_else(|| "the ground is none that is known: choose one of the five".into())
}

pub(super) fn comment_of(form: &Fields, name: &str) -> Result<Option<String>, String> {
    let given = form.owned(name);
    match given.as_deref().map(|text| text.chars().count()) {
        Some(characters) if characters > MOST_COMMENT => {
            Err(format!("the {name} has {characters} characters: at most {MOST_COMMENT} are kept, so shorten it"))
        }
        _ => Ok(given),
    }
}

/// Of a form whose other fields are ignored.
pub(super) fn comment(form: &Fields) -> Result<Option<String>, Refusal> {
    comment_of(form, "comment").map_err(Refusal::invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        Fields::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_missing_is_said() {
        for (form, missing) in [
            ("", "answer"),
            ("answer=maybe", "answer"),
            ("answer=real", "ground"),
            ("answer=synthetic&ground=", "ground"),
            ("answer=real&ground=hunch", "ground"),
        ] {
            let problem = filled(&fields(form)).unwrap_err();
            assert!(problem.contains(missing), "{form}: {problem}");
        }
        let long = format!("answer=cannot_tell&comment={}", "é".repeat(1001));
        assert!(filled(&fields(&long)).unwrap_err().contains("1001 characters"));
    }

    #[test]
    fn what_does_not_belong_to_an_answer_is_left_out() {
        let unsure = filled(&fields("answer=cannot_tell&ground=by_eye&generator=flux")).unwrap();
        assert_eq!(unsure, (Answer::CannotTell, None, None, None));
        let real = filled(&fields("answer=real&ground=by_eye&generator=flux&comment=+x+")).unwrap();
        assert_eq!(real, (Answer::Real, Some(ReviewGround::ByEye), None, Some("x".into())));
    }
}
