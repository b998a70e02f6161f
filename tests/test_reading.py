"""What counts as written for machines, on pages of one block."""

import pytest
from reading import offences

PAGE = '<main id="content">{}<h2 id="published-results">Published</h2><p>a_b {{}} –</p></main>'


@pytest.mark.parametrize(
    "block",
    [
        "<p>The row a5_applied ends at 0.9.</p>",
        "<table><caption>Rows of study_a</caption></table>",
        "<details><summary>page.say(</summary></details>",
        "<td>786.5817491999996</td>",
        "<td>1.179e+04</td>",
        "<p>It falls in epoch –.</p>",
        "<figure><details><th>mean, lr0_1_batch1</th></details></figure>",
    ],
)
def test_what_is_written_for_machines_is_noticed(block):
    assert len(offences(PAGE.format(block))) == 1


@pytest.mark.parametrize(
    "block",
    [
        "<p>At rate 0.1 it ends at 0.8934 ± 0.0021, after 787 s and 11,786 images.</p>",
        "<p>Report A, <code>study_a.a1</code>, arXiv 2404.00498, rank −1.</p>",
        '<div class="code"><pre>page.say("{a_b}")</pre></div>',
        "<td>A2.fall_epoch</td><td>–</td>",
        "<figure><details><td>4881680000.0</td></details></figure>",
        '<tr id="A--open--A1"><td><details>study_a.a1 = –</details></td></tr>',
    ],
)
def test_what_people_read_is_not(block):
    assert offences(PAGE.format(block)) == []
