"use strict";
// Gradio names the buttons that take something out of a choice by its number; they get its name.
new MutationObserver(() => {
  for (const button of document.querySelectorAll(".token-remove")) {
    const name = `Remove ${button.previousElementSibling.textContent.trim()}`;
    if (button.title !== name) {
      button.title = name;
    }
  }
}).observe(document.documentElement, { childList: true, subtree: true });
