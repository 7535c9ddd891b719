#!/usr/bin/env bash
# Makes the reports of this folder. From the repository's root:
#
#     bash docs/reports/make.sh COCO LIST.csv
#
# COCO is a folder in COCO's own layout (annotations/captions_val2017.json and val2017/), LIST.csv a list of captions.
# Name both from the repository, since the reports quote what was typed. The pictures lie in runs/reports; what is
# there already is not drawn again. NUM=8 before the command tries all of it with eight prompts.
set -euo pipefail
coco=$1 list=$2
emoji=data/emoji/test-pictures
work=runs/reports out=${OUT:-docs/reports}
all=${NUM:+--num $NUM} # nothing, unless NUM is set

# The emoji test split, two seeds of each pair, and the checkpoint's parts one by one.
python -m evaluation.generation --prompts emoji:$emoji $all --per-prompt 2 --out $work/emoji
python -m evaluation.fid --images $work/emoji --reference $emoji --network judge --report $work/distances.json
python -m evaluation.clip_score --images $work/emoji --report $work/score.json
python -m evaluation.prior --prompts emoji:$emoji $all --report $work/prior.json
for mode in reconstruction inversion upsampler; do
    python -m evaluation.ssim_psnr --reference $emoji --mode $mode --num ${NUM:-200} --report $work/$mode.json
done
python -m evaluation.collect $work/{emoji,distances.json,score.json,prior.json} \
    $work/{reconstruction,inversion,upsampler}.json --title "The embedded checkpoint on the emoji test split" \
    --words "The test split has 736 pairs of concept and drawing style, which training never saw; two pictures were drawn \
of each. Distances and scores are by emoji-judge, a CLIP that conditions nothing here: none of them is an FID or a CLIP \
score as published, for it saw only emoji, and the real pictures among them, so that their scores are high." \
    --report $out/emoji.html --report $out/emoji.md --report $out/emoji.json

# COCO: all captions of the folder beside its real pictures, and 1,000 of the list.
python -m evaluation.generation --prompts "coco:$coco" $all --out $work/coco
python -m evaluation.fid --images $work/coco --reference "$coco/val2017" --size 128 --network judge \
    --report $work/coco-distances.json
python -m evaluation.clip_score --images $work/coco --report $work/coco-score.json
python -m evaluation.generation --prompts "$list" --num ${NUM:-1000} --out $work/coco30k
python -m evaluation.clip_score --images $work/coco30k --report $work/coco30k-score.json
python -m evaluation.collect $work/{coco,coco-distances.json,coco-score.json,coco30k,coco30k-score.json} \
    --title "The embedded checkpoint on captions of COCO" \
    --words "Neither the checkpoint nor the judge ever saw a photograph or the caption of one: both know only emoji. So \
this shows that the whole chain runs on COCO, and how fast it draws. Its numbers say nothing of photographs, and the \
ceiling is none: a judge of emoji cannot read the real ones. Captions: COCO Consortium, CC BY 4.0. The photographs \
were measured and are not shown." \
    --report $out/coco.html --report $out/coco.md --report $out/coco.json

# The worked example of a comparison: one checkpoint at three settings, each at four more guidance scales.
python -m evaluation.compare emoji "emoji --draft" "emoji --steps 25,25,7" --prompts emoji:$emoji --num ${NUM:-200} \
    --reference $emoji --network judge --guidance-sweep 4,1 4,1.5 4,3 4,5 --out $work/settings \
    --report $out/settings.html --report $out/settings.md --report $out/settings.json --report $out/settings.csv
