"""The checker must catch what it is for, or a green row says nothing: `python3 -m unittest discover chaos`."""

import dataclasses
import json
import unittest

from checker import DEAD, ERASED, REVIEWED, VERDICT, Evidence, Letter, Publication, Row, Submission, judge

GOOD = Submission("good", frozenset({VERDICT}), "aa")
MISSING = Submission("missing", frozenset({"object_not_found"}))
UNREADABLE = Submission("unreadable", frozenset({DEAD}))


def document(sha256: str) -> bytes:
    return json.dumps({"image": {"sha256": sha256}}).encode()


def whole() -> Evidence:
    """What a run without a fault leaves behind."""
    verdict, failure = Row("good", VERDICT, "v1", document("aa")), Row("missing", "object_not_found", "f1", b"{}")
    told = [Publication(row.id, row.outcome_id, row.document) for row in (verdict, failure)]
    return Evidence([verdict, failure], told, [Letter("unreadable", b"{", "no JSON")], {"images": 0})


class TheOracle(unittest.TestCase):
    def setUp(self):
        self.evidence = whole()

    def judged(self):
        return judge([GOOD, MISSING, UNREADABLE], self.evidence)

    def complains(self, kind: str, words: str):
        findings = self.judged()
        self.assertFalse(findings.good())
        self.assertTrue(any(words in complaint for complaint in getattr(findings, kind)), findings)

    def test_finds_nothing_wrong_where_nothing_is(self):
        findings = self.judged()
        self.assertTrue(findings.good(), findings)
        self.assertEqual((findings.submissions, findings.repeated_publications), (3, 0))
        self.assertEqual(findings.ends, {VERDICT: 1, "object_not_found": 1, DEAD: 1})

    def test_counts_repetitions_and_allows_them(self):
        self.evidence.publications += self.evidence.publications[:1] * 2
        self.evidence.letters *= 2
        self.assertTrue(self.judged().good())
        self.assertEqual(self.judged().repeated_publications, 3)

    def test_allows_another_order_and_another_form_of_the_same_number(self):
        told = b'{"image": {"sha256": "aa"}, "score": {"logit": -4.0}}'
        row = dataclasses.replace(self.evidence.rows[0], document=b'{"score": {"logit": -4}, "image": {"sha256": "aa"}}')
        self.evidence.rows[0], self.evidence.publications[0] = row, Publication("good", "v1", told)
        self.assertTrue(self.judged().good(), self.judged())

    def test_catches_a_publication_of_what_is_not_recorded(self):
        told = b'{"image": {"sha256": "aa"}, "score": {"logit": -4.000001}}'
        row = dataclasses.replace(self.evidence.rows[0], document=b'{"score": {"logit": -4}, "image": {"sha256": "aa"}}')
        self.evidence.rows[0], self.evidence.publications[0] = row, Publication("good", "v1", told)
        self.complains("doubled", "what was published is not what is recorded")

    def test_catches_a_lost_submission(self):
        self.evidence.rows, self.evidence.publications = self.evidence.rows[1:], self.evidence.publications[1:]
        self.complains("lost", "good: no end")

    def test_catches_a_lost_unreadable_message(self):
        self.evidence.letters = []
        self.complains("lost", "unreadable: no end")

    def test_catches_an_outcome_that_was_not_published(self):
        self.evidence.publications = self.evidence.publications[1:]
        self.complains("lost", "good: a row that was never published")

    def test_catches_an_outcome_that_was_published_and_not_recorded(self):
        self.evidence.rows = self.evidence.rows[1:]
        self.complains("lost", "good: no end, though one was published")

    def test_catches_a_doubled_outcome(self):
        self.evidence.rows.append(Row("good", "decode_failed", "v1", document("aa")))
        self.complains("doubled", "good: ended 2 times: verdict, decode_failed")

    def test_catches_a_row_beside_a_dead_letter(self):
        self.evidence.letters.append(Letter("good", b"{}", "delivered too often"))
        self.complains("doubled", "good: ended 2 times: verdict, dead")

    def test_catches_a_publication_beside_a_dead_letter(self):
        self.evidence.publications.append(Publication("unreadable", "x", b"{}"))
        self.complains("doubled", "unreadable: published without a row")

    def test_catches_a_contradicting_publication(self):
        self.evidence.publications.append(dataclasses.replace(self.evidence.publications[0], body=document("ab")))
        self.complains("doubled", "good: 2 different texts")

    def test_catches_a_publication_under_another_id(self):
        self.evidence.publications.append(dataclasses.replace(self.evidence.publications[0], message_id="v2"))
        self.complains("doubled", "good: 2 ids")

    def test_the_order_of_members_is_no_difference_between_a_row_and_its_publication(self):
        row = self.evidence.rows[0]
        turned = json.dumps(dict(reversed(json.loads(row.document).items()))).encode()
        self.evidence.rows[0] = dataclasses.replace(row, document=turned)
        self.assertFalse(self.judged().doubled)

    def test_catches_what_nobody_submitted(self):
        for kind, one in [("rows", Row("stranger", VERDICT, "s", document("aa"))), ("publications", Publication("stranger", "s", b"")),
                          ("letters", Letter("stranger", b"", ""))]:
            self.evidence = whole()
            getattr(self.evidence, kind).append(one)
            self.complains("doubled", "stranger")

    def test_catches_the_wrong_end(self):
        self.evidence.rows[0] = Row("good", "decode_failed", "v1", document("aa"))
        self.complains("wrong", "good: ended in decode_failed, where verdict was due")

    def test_catches_a_verdict_on_other_bytes(self):
        self.evidence.rows[0] = dataclasses.replace(self.evidence.rows[0], document=document("bb"))
        self.evidence.publications[0] = dataclasses.replace(self.evidence.publications[0], body=document("bb"))
        self.complains("wrong", "other bytes")

    def test_catches_what_is_left_on_a_queue(self):
        self.evidence.left["images"] = 2
        self.complains("left", "images: 2 messages left")


class OfWhatWasErased(unittest.TestCase):
    GONE = Submission("gone", frozenset({ERASED}))

    def judged(self, rows=(), *codes):
        bodies = [json.dumps({"code": code} if code else {"image": {}}).encode() for code in codes]
        return judge([self.GONE], Evidence(list(rows), [Publication("gone", "v", body) for body in bodies], [], {}))

    def test_a_verdict_and_answers_are_right(self):
        self.assertTrue(self.judged((), None, None, ERASED, ERASED).good())

    def test_a_row_or_no_answer_or_another_failure_is_not(self):
        self.assertTrue(self.judged([Row("gone", VERDICT, "v", document("aa"))], None, ERASED).doubled)
        self.assertTrue(self.judged((), None).lost)
        self.assertTrue(self.judged((), None, "expired", ERASED).wrong)


class WhatPeopleDecided(unittest.TestCase):
    ONE = Submission("one", frozenset({REVIEWED}))
    MODEL = Row("one", VERDICT, "v0", b'{"generation": 0, "decided_by": "model"}')
    PEOPLE = Row("one", VERDICT, "v1", b'{"generation": 1, "decided_by": "review"}')

    def judged(self, rows: list, told: list | None = None, letters: list = ()):
        published = [Publication("one", row.outcome_id, row.document) for row in (rows if told is None else told)]
        return judge([self.ONE], Evidence(rows, published, list(letters)))

    def test_is_a_second_verdict_that_may_be_told_again(self):
        findings = self.judged([self.PEOPLE, self.MODEL], [self.MODEL, self.PEOPLE, self.PEOPLE])
        self.assertTrue(findings.good(), findings)
        self.assertEqual((findings.repeated_publications, findings.ends), (1, {REVIEWED: 1}))

    def test_is_missed_where_it_is_not_recorded_or_not_told(self):
        self.assertTrue(self.judged([self.MODEL]).lost)
        self.assertTrue(self.judged([self.MODEL, self.PEOPLE], [self.MODEL]).lost)

    def test_is_there_once(self):
        twice = dataclasses.replace(self.PEOPLE, outcome_id="v2", document=b'{"generation": 2, "decided_by": "review"}')
        self.assertTrue(self.judged([self.MODEL, self.PEOPLE, twice]).doubled)
        self.assertTrue(self.judged([self.MODEL, self.PEOPLE], [self.MODEL, self.PEOPLE, twice]).doubled)
        other = dataclasses.replace(self.PEOPLE, document=b"{}")
        self.assertTrue(self.judged([self.MODEL, self.PEOPLE], [self.MODEL, self.PEOPLE, other]).doubled)
        self.assertTrue(self.judged([self.MODEL, self.PEOPLE], letters=[Letter("one", b"{}", "no reason")]).doubled)

    def test_is_by_people(self):
        again = dataclasses.replace(self.PEOPLE, document=b'{"generation": 1, "decided_by": "model"}')
        self.assertTrue(self.judged([self.MODEL, again]).wrong)


if __name__ == "__main__":
    unittest.main()
