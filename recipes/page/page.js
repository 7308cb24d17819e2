"use strict";
// One sound at a time, and a line that moves over its picture.
const players = [...document.querySelectorAll("audio")];
for (const player of players) {
  const line = player.closest("figure").querySelector(".playhead");
  const follow = () => {
    line.style.left = `${(100 * player.currentTime) / (player.duration || 1)}%`;
    line.hidden = player.paused;
    if (!player.paused) requestAnimationFrame(follow);
  };
  player.addEventListener("play", () => {
    for (const other of players) if (other !== player) other.pause();
    follow();
  });
}
