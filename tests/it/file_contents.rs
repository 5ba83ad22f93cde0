//! What a file holds beside one picture: frames, and words about itself.

use domain::{C2pa, Claim, Decision, FailureCode, Frames, Hint, HintKind, Outcome, QualityFlag, Verdict};
use engine::Scripted;

use crate::support::images;
use crate::support::rig::{BUCKET, Rig, decoders, failed, plan};

fn verdict(outcome: &Outcome) -> &Verdict {
    match outcome {
        Outcome::Verdict(verdict) => verdict,
        Outcome::Failure(failure) => panic!("{failure:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn animations_are_judged_by_what_viewers_show() {
    let cases = [
        // Bright is synthetic to the scripted detector; the picture that nobody sees is black.
        ("hidden.png", images::apng_with_hidden_picture(260, &[230]), Decision::Synthetic, Some((1, 1))),
        ("frames.png", images::apng_with_hidden_picture(260, &[230, 20, 30]), Decision::Real, Some((3, 3))),
        ("many.gif", images::gif_of(260, &[[20; 10], [240; 10]].concat()), Decision::Synthetic, Some((3, 20))),
        ("two.gif", images::gif_of(260, &[0, 254]), Decision::Uncertain, Some((2, 2))),
        ("still.gif", images::gif_of(260, &[20]), Decision::Real, None),
        ("moving.webp", images::animated_webp(260, 260), Decision::Real, Some((2, 2))),
    ];
    let mut plan = plan();
    // Less than an animation has frames: it goes to the device alone, and in pieces.
    plan.worker.batch_size = 2;
    plan.worker.reuse = true;
    let rig = Rig::start_with(Scripted::new(), plan, decoders());
    for (name, bytes, ..) in &cases {
        rig.objects.put(BUCKET, name, bytes.clone());
        rig.submit(name, name);
    }
    rig.idle().await;
    for (name, ..) in &cases {
        rig.submit(&format!("{name} again"), name);
    }
    rig.idle().await;
    let outcomes = rig.end().await;
    for (name, _, decision, frames) in cases {
        let first = verdict(&outcomes[name]);
        assert_eq!(first.decision, decision, "{name}: {:?}", first.score);
        assert_eq!(first.frames, frames.map(|(judged, of)| Frames { judged, of }), "{name}");
        let is_several = frames.is_some_and(|(_, of)| of > 1);
        assert_eq!(first.quality.contains(&QualityFlag::Animated), is_several, "{name}");
        assert!(first.batch_size >= frames.map_or(1, |(judged, _)| judged), "{name}");
        let again = verdict(&outcomes[&format!("{name} again")]);
        assert_eq!((again.reused_from, again.decision), (Some(first.verdict_id), decision), "{name}");
        assert_eq!(
            (again.frames, &again.quality, &again.provenance),
            (first.frames, &first.quality, &first.provenance)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_animation_with_a_frame_that_can_not_be_scored_fails_alone() {
    let script = |crops: &[&imaging::Crop]| match crops.iter().any(|crop| images::is_poison(crop)) {
        true => Err(engine::ScoreError::NotANumber),
        false => Ok(()),
    };
    let rig = Rig::start(Scripted::with_script(Box::new(script)));
    for (name, shades) in [("good.gif", [10, 20, 30]), ("bad.gif", [10, images::POISON, 30]), ("fine.gif", [1, 2, 3])] {
        rig.objects.put(BUCKET, name, images::gif_of(260, &shades));
        rig.submit(name, name);
    }
    rig.idle().await;
    let outcomes = rig.end().await;
    assert_eq!(failed(&outcomes["bad.gif"]), Some(FailureCode::InferenceFailed));
    assert_eq!((failed(&outcomes["good.gif"]), failed(&outcomes["fine.gif"])), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_file_says_of_itself_stands_in_the_verdict_and_changes_no_score() {
    let parameters = "a secret castle\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1";
    let xmp = "Iptc4xmpExt:DigitalSourceType=\"http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture\"";
    let cases = [
        ("none.png", "Comment", "nothing"),
        ("settings.png", "parameters", parameters),
        ("edited.png", "Software", "GIMP 2.10"),
        ("captured.png", "XML:com.adobe.xmp", xmp),
    ];
    let rig = Rig::start(Scripted::new());
    for (name, key, text) in cases {
        rig.objects.put(BUCKET, name, images::png_with_text(260, key, text));
        rig.submit(name, name);
    }
    // A chunk of Content Credentials before the end.
    let mut bytes = images::png_with_text(260, "Comment", "nothing");
    let chunk = [b"\0\0\0\x04caBXc2pa".to_vec(), crc32fast::hash(b"caBXc2pa").to_be_bytes().to_vec()].concat();
    let end = bytes.len() - 12;
    bytes.splice(end..end, chunk);
    rig.objects.put(BUCKET, "signed.png", bytes);
    rig.submit("signed.png", "signed.png");
    rig.idle().await;
    let outcomes = rig.end().await;
    let hint = |kind, name: &str| Hint { kind, name: Some(name.into()) };
    for (name, class, hints, c2pa) in [
        ("none.png", Claim::None, vec![], None),
        (
            "settings.png",
            Claim::ClaimedSynthetic,
            vec![hint(HintKind::GeneratorSettings, "Stable Diffusion WebUI")],
            None,
        ),
        ("edited.png", Claim::ClaimedEdit, vec![hint(HintKind::Software, "GIMP")], None),
        ("captured.png", Claim::ClaimedCapture, vec![hint(HintKind::DigitalSourceType, "digitalCapture")], None),
        ("signed.png", Claim::None, vec![], Some(C2pa::Present)),
    ] {
        let found = verdict(&outcomes[name]);
        let provenance = found.provenance.clone().unwrap();
        assert_eq!((provenance.class, provenance.hints, provenance.c2pa), (class, hints, c2pa), "{name}");
        assert_eq!(found.score, verdict(&outcomes["none.png"]).score, "{name}");
        assert!(!serde_json::to_string(found).unwrap().contains("castle"));
    }
}
