"""Short stop-word lists: words of closed classes that stand in nearly every text of a language.

Written for Sightline: articles, pronouns, the commonest prepositions, conjunctions, particles and forms of to be and
to have. Short on purpose, since BM25 gives common words little weight by itself; a word that also is a common noun or
verb is left out where that is likely to matter. English is Lucene's classic list of 33.

Words are in the spelling of the language, lower-case, in NFC; the analyzer folds them as it folds texts.
"""

from __future__ import annotations

from types import MappingProxyType

__all__ = ["ENGLISH_STOP_WORDS", "STOP_WORDS"]

_WORDS = {
    "arabic": """
        في من إلى الى على عن مع هذا هذه ذلك تلك هو هي هم هن أنا انا نحن أنت انت أنتم الذي التي الذين ما ماذا
        لا لم لن ليس كان كانت يكون قد و أو او ثم أن ان إن إذا اذا كل بعض بين عند بعد قبل حتى لكن كما أي اي
        غير هناك هنا به له لها فيه منه عليه فيها
    """,
    "armenian": """
        և ու կամ բայց որ որը որոնք եթե թե այս այդ այն սա դա նա ես դու մենք դուք նրանք իր իմ քո մեր ձեր նրա
        նրանց է են եմ ենք եք էր էին ին մի չի չէ չեն ոչ այո հետ մեջ վրա համար մասին առանց մինչև նաև էլ ինչ ով
        երբ որտեղ ինչպես
    """,
    "basque": """
        eta edo baina ez bai da dira zen ziren dut du dute zuen zuten naiz gara zara den diren bat batzuk
        hau hori hura hauek horiek haiek ni zu gu zuek nik zuk guk bere bera beren nire zure gure ere baino
        bezala arte gabe zer nor non noiz nola zein
    """,
    "catalan": """
        el la els les un una uns unes de del dels d'un d'una a al als en amb per pel pels sense sobre entre
        i o ni però que què qui com quan on si no és són era eren ser ha han he hem hi ho li es em et se us
        jo tu ell ella nosaltres vosaltres ells elles meu teu seu nostre vostre aquest aquesta aquests
        aquestes això allò més molt també
    """,
    "czech": """
        a i o u v ve na z ze do od k ke ku s se si za po pro při bez mezi nad pod před nebo ani ale že aby
        když jak jako co kdo kde který která které kteří já ty on ona ono my vy oni mě mi tě ti ho mu ji jí
        nás nám vás vám je jich jim můj tvůj jeho její náš váš jejich ten ta to tento tato toto není jsem
        jsi jsme jste jsou byl byla bylo byli být bude by už jen také tak ne
    """,
    "danish": """
        og eller men i på af til fra med for om ved under over efter uden mellem at som der den det de en et
        jeg du han hun vi dem mig dig ham hende os jer sig min mit mine din dit dine hans hendes vores jeres
        deres sin sit sine er var være har havde blev bliver ikke også så da når hvis hvad hvem hvor denne
        dette disse her
    """,
    "dutch": """
        de het een en of maar in op aan van voor met te tot uit bij door over onder naar om als dan dat die
        dit deze er ik jij je u hij zij ze wij we jullie hen hun hem haar mij me ons mijn jouw zijn onze uw
        is was waren ben bent heeft hebben had wordt worden werd niet geen ook nog wel wat wie waar
    """,
    "english": """
        a an and are as at be but by for if in into is it no not of on or such that the their then there
        these they this to was will with
    """,
    "esperanto": """
        la kaj aŭ sed nek en sur al de da el por per kun sen pri ĉe ĝis inter kiel ke se ĉar mi vi li ŝi ĝi
        ni ili oni si mia via lia ŝia ĝia nia ilia sia estas estis estos esti ne jes ĉi tiu tio tiuj kiu kio
        kiuj kie kiam ankaŭ nur
    """,
    "estonian": """
        ja ning või ega aga kuid et kui nagu sest ka ei on oli olid olen oled oleme olete olema ma mina sa
        sina ta tema me meie te teie nad nemad minu sinu mu su oma see selle seda need nende kes mis kus
        millal kuidas juba veel siis ära üks
    """,
    "finnish": """
        ja tai mutta että jos kun kuin sekä eli vaan ei en et emme ette eivät on oli ovat olivat olen olet
        olemme olette ollut olla minä sinä hän me te he se ne tämä nämä tuo nuo minun sinun hänen meidän
        teidän heidän sen niiden tämän sitä niitä joka jotka jonka mikä mitä kuka missä myös jo vielä niin
    """,
    "french": """
        le la les un une des du de d l au aux à en dans par pour sur avec sans sous entre et ou ni mais donc
        que qui quoi dont où quand comme si je tu il elle on nous vous ils elles me te se lui leur leurs mon
        ma mes ton ta tes son sa ses notre nos votre vos ce cet cette ces cela ça y ne pas même mêmes est
        sont était étaient être a ont avait avoir c'est qu'il qu'elle qu'on d'un d'une n'est
    """,
    "german": """
        der die das den dem des ein eine einen einem einer eines und oder aber in im an am auf aus bei mit
        von vom zu zum zur für über unter nach vor durch um als wie wenn dass daß weil ob ich du er sie es
        wir ihr mich dich ihn uns euch mir dir ihm ihnen sich mein dein sein unser euer ihre dieser diese
        dieses diesem diesen ist sind war waren bin bist hat haben hatte wird werden wurde nicht kein keine
        auch noch nur so da was wer wo
    """,
    "greek": """
        ο η το οι τα του της των τον την τους τις ένας μια μία ένα και κι ή αλλά σε στο στη στην στον στα
        στις στους στης από για με χωρίς προς κατά μετά πριν να θα δεν δε μη μην που πως ότι αν όταν όπως
        εγώ εσύ αυτός αυτή αυτό αυτοί εμείς εσείς μου σου μας σας είναι ήταν είμαι έχει έχουν είχε τι ποιος
        ποια όχι ναι
    """,
    "hindi": """
        का की के को में से पर ने और या लेकिन कि जो यह ये वह वे मैं हम तुम आप इस उस इन उन इसका उसका मेरा
        हमारा अपना अपने अपनी है हैं था थे थी हो होता होती होते हुआ हुई हुए नहीं न भी ही तो एक लिए साथ तक जब
        तब कब क्या कौन कहाँ कैसे
    """,
    "hungarian": """
        a az egy és vagy de hogy ha mint is nem ne sem van vannak volt voltak lesz lenni én te ő mi ti ők
        engem téged őt minket nekem neki nekünk nekik ez azt ezt ezek azok aki ami amely amelyek akik mely
        ki hol mikor hogyan meg csak már még után között szerint által
    """,
    "indonesian": """
        yang dan atau tetapi tapi di ke dari pada dalam untuk dengan oleh tentang tanpa antara sebagai
        seperti adalah ialah ini itu saya aku kamu anda dia ia kami kita mereka nya tidak bukan ada akan
        sudah telah sedang juga jika kalau karena bahwa para apa siapa mana kapan
    """,
    "irish": """
        an na agus nó ach i in ar ag le do de ó go as faoi chun gan idir mar má dá nuair a is ní níl tá bhí
        beidh mé tú sé sí muid sinn sibh siad mo ár bhur é í iad seo sin siúd cé cad conas nach gur
    """,
    "italian": """
        il lo la i gli le un uno una di del dello della dei degli delle a al allo alla ai agli alle da dal
        dalla dai dalle in nel nella nei nelle con su sul sulla per tra fra senza e ed o ma né che chi cui
        come quando dove se io tu lui lei noi voi loro mi ti si ci vi ne mio tuo suo nostro vostro questo
        questa questi queste quello quella è sono era erano essere ha hanno ho aveva non anche più
    """,
    "lithuanian": """
        ir ar bet o į iš su be prie per po už nuo iki dėl apie tarp ant kad jei kai kaip nes aš tu jis ji
        mes jūs jie jos mano tavo jo mūsų jūsų jų savo šis ši tas ta tai tie šie kas kuris kuri kurie kur
        kada yra buvo bus būti ne nėra taip pat dar jau tik
    """,
    "nepali": """
        र वा तर को का की मा ले लाई बाट देखि सँग सम्म पनि नै त छ छन् थियो थिए हो हुन् हुन्छ भएको भएका गर्ने
        गरेको म हामी तिमी तपाईं उ ऊ उनी उनको उनले यो यी त्यो ती यस त्यस मेरो हाम्रो आफ्नो जो के कुन कहाँ
        कहिले कसरी एक लागि भने भन्ने न
    """,
    "norwegian": """
        og eller men i på av til fra med for om ved under over etter uten mellom at som den det de en ei et
        jeg du han hun vi dere dem meg deg ham henne oss seg min mitt mine din ditt dine hans hennes vår
        vårt våre deres sin sitt sine er var være har hadde ble blir ikke også så da når hvis hva hvem hvor
        denne dette disse her å ikkje eg ho me dei
    """,
    "persian": """
        و یا اما که در از به با بر برای تا را این آن اینها آنها من تو او ما شما ایشان هم نیز است هست هستند
        بود بودند باشد شد شده می نمی نه هر یک چه کی کجا چون اگر پس خود دیگر بین
    """,
    "polish": """
        a i o u w we z ze na do od po za przy przez dla bez nad pod przed między oraz lub albo ale że żeby
        gdy jak jako jeśli co kto gdzie kiedy który która które którzy ja ty on ona ono my wy oni one mnie
        mi cię ci go mu ją jej nas nam was wam ich im się mój twój jego nasz wasz ten ta to te tego tej tym
        nie jest są był była było były być będzie by już też także tylko
    """,
    "portuguese": """
        o a os as um uma uns umas de do da dos das em no na nos nas num numa por pelo pela pelos pelas para
        com sem sobre entre até e ou mas nem que quem qual quando como onde se eu tu ele ela nós vós eles
        elas você vocês me te lhe lhes meu minha teu tua seu sua seus suas nosso nossa este esta estes estas
        esse essa isso isto aquele aquela não é são era eram ser foi tem têm há ao aos à às também mais
    """,
    "romanian": """
        un o unei unui niște al a ai ale de la din în pe cu pentru prin fără sub despre între până și sau
        dar nici că să dacă când cum ce cine care unde eu tu el ea noi voi ei ele mă te îl îi le ne vă se
        meu ta său sa nostru vostru lor lui acest această acești aceste acel acea este e sunt era erau fi am
        are au nu mai
    """,
    "russian": """
        и или но а в во на с со из от до по за к ко у о об при для без под над между что чтобы как если
        когда где кто который которая которое которые я ты он она оно мы вы они меня мне тебя тебе его ему
        её ее ей нас нам вас вам их им себя мой твой наш ваш свой этот эта это эти тот та те то не ни да же
        ли бы был была было были быть есть будет так уже только также ещё еще
    """,
    "serbian": """
        и или али а у на с са из од до по за к ка при без под над између да што шта ко како ако кад када где
        који која које ја ти он она оно ми ви они мене ме те га му је ју јој нас нам вас вам их им се мој
        твој његов наш ваш свој овај ова ово ови тај та то не није сам си смо сте су био била било били бити
        ће ли би i ili ali a u na s sa iz od do po za k ka pri bez pod nad između da što šta ko kako ako kad
        kada gde koji koja koje ja ti on ona ono mi vi oni mene me te ga mu je ju joj nas nam vas vam ih im
        se moj tvoj njegov naš vaš svoj ovaj ova ovo ovi taj ta to ne nije sam si smo ste su bio bila bilo
        bili biti će li bi
    """,
    "sesotho": """
        le ke ka ho ha o ba a e di se ya wa tsa la sa bo mo ko kapa empa hore hobane haeba jwalo nna wena
        yena rona lona bona ena tsena seo eo tse me jwale feela hape
    """,
    "spanish": """
        el la los las lo un una unos unas de del a al en con por para sin sobre entre hasta desde y e o u ni
        pero sino que qué quien quién cual como cómo cuando donde si yo tú él ella nosotros vosotros ellos
        ellas usted ustedes me te se le les nos os mi mis tu tus su sus nuestro nuestra este esta estos
        estas esto ese esa eso aquel aquella no es son era eran ser fue está están ha han hay había también
        más muy
    """,
    "swedish": """
        och eller men i på av till från med för om vid under över efter utan mellan att som den det de en
        ett jag du han hon vi ni dem mig dig honom henne oss er sig min mitt mina din ditt dina hans hennes
        vår vårt våra deras sin sitt sina är var vara har hade blev blir inte också så då när vad vem denna
        detta dessa här
    """,
    "tamil": """
        ஒரு இந்த அந்த இது அது இவை அவை நான் நீ நாம் நாங்கள் நீங்கள் அவன் அவள் அவர் அவர்கள் என் உன் அவரது எனது
        தனது மற்றும் அல்லது ஆனால் என என்று என்ற எனவே போன்ற பற்றி மூலம் உள்ள உள்ளது இல்லை அல்ல தான் கூட
        மேலும் என்ன எப்படி எங்கே யார்
    """,
    "turkish": """
        ve veya ya da de ki ama fakat ancak ile için gibi kadar göre sonra önce bir bu şu o bunlar şunlar
        onlar ben sen biz siz beni seni onu bizi sizi bana sana ona benim senin onun bizim sizin onların
        kendi ne kim nerede nasıl neden değil var yok mı mi mu mü idi ise olan olarak daha en çok her hem
    """,
    "yiddish": """
        דער די דאס דאָס דעם דען א אַ אן אַן און אָדער אבער אָבער אין אויף פון פֿון פאר פֿאַר מיט צו ביי ביז
        נאך נאָך אז אַז ווי ווען וואס וואָס ווער וואו וווּ איך דו ער זי עס מיר איר זיי מיך דיך אים אונדז זיך
        מיין דיין זיין אונדזער איז זענען געווען האט האָט האבן האָבן נישט ניט אויך נאר נאָר
    """,
}

ENGLISH_STOP_WORDS = frozenset(_WORDS["english"].split())
"""The 33 words of Lucene's classic list; hardly any can make or break a query."""

STOP_WORDS = MappingProxyType(
    {language: frozenset(words.split()) for language, words in _WORDS.items()}
    | {"porter": ENGLISH_STOP_WORDS, "dutch_porter": frozenset(_WORDS["dutch"].split())}
)
"""The default stop words of each language that has a Snowball stemmer."""
