/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include "commands.h"
#include "complete/complete.h"
#include "console/failure.h"

/* `p2pctl completion`: scripts for the shells. They know nothing; they ask `completion words`. */

static const char bash_script[] =
    "# bash completion of p2pctl; asks p2pctl itself, so it is never out of date.\n"
    "_p2pctl() {\n"
    "    local line=${COMP_LINE:0:COMP_POINT} word help current rest cut IFS=$' \\t\\n'\n"
    "    local -a words\n"
    "    read -ra words <<< \"$line\"\n"
    "    [[ $line == *[[:space:]] ]] && words+=('')\n"
    "    current=${words[${#words[@]}-1]}\n"
    "    rest=${current##*[:=]} cut=$((${#current} - ${#rest}))\n"
    "    COMPREPLY=()\n"
    "    while IFS=$'\\t' read -r word help; do\n"
    "        if [[ $word == :files ]]; then\n"
    "            compopt -o filenames 2>/dev/null\n"
    "            while read -r word; do COMPREPLY+=(\"$word\"); done < <(compgen -f -- "
    "\"$current\")\n"
    "        elif [[ $word == \"$current\"* ]]; then\n"
    "            [[ $word == *: ]] && compopt -o nospace 2>/dev/null\n"
    "            # bash cuts words at these: what stands before them is there already.\n"
    "            word=${word:cut}\n"
    "            COMPREPLY+=(\"$word\")\n"
    "        fi\n"
    "    done < <(\"${words[0]}\" completion words -- \"${words[@]:1}\" 2>/dev/null)\n"
    "}\n"
    "complete -F _p2pctl p2pctl\n";

static const char zsh_script[] =
    "#compdef p2pctl\n"
    "# zsh completion of p2pctl; asks p2pctl itself, so it is never out of date.\n"
    "_p2pctl() {\n"
    "    local -a found\n"
    "    local word help files=0\n"
    "    while IFS=$'\\t' read -r word help; do\n"
    "        if [[ $word == :files ]]; then files=1; continue; fi\n"
    "        found+=(\"${word//:/\\\\:}${help:+:$help}\")\n"
    "    done < <(\"$words[1]\" completion words -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
    "    (( $#found )) && _describe -t words p2pctl found\n"
    "    (( files )) && _files\n"
    "}\n"
    "if [[ $funcstack[1] == _p2pctl ]]; then _p2pctl \"$@\"; else compdef _p2pctl p2pctl; fi\n";

static const char fish_script[] =
    "# fish completion of p2pctl; asks p2pctl itself, so it is never out of date.\n"
    "function __p2pctl_words\n"
    "    set -l tokens (commandline -opc)\n"
    "    for line in (p2pctl completion words -- $tokens[2..-1] (commandline -ct) 2>/dev/null)\n"
    "        if test \"$line\" = :files\n"
    "            __fish_complete_path (commandline -ct)\n"
    "        else\n"
    "            echo $line\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c p2pctl -f -a '(__p2pctl_words)'\n";

int completion_run(struct ctl *ctl)
{
    const char *const *words = ctl->options.words;
    static const struct {
        const char *shell;
        const char *script;
    } scripts[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};

    if (strcmp(words[0], "words") == 0)
        return complete_words(ctl, words + 1, ctl->options.words_count - 1);
    if (ctl->options.words_count > 1)
        return fail_usage("\"%s\" is one argument too many", words[1]);
    for (size_t i = 0; i < ARRAY_SIZE(scripts); i++)
        if (strcmp(scripts[i].shell, words[0]) == 0) {
            fputs(scripts[i].script, stdout);
            return 0;
        }
    return fail_usage("there is completion for bash, zsh and fish, not for \"%s\"", words[0]);
}
